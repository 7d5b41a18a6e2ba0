"""Real pictures for a run: sample photographs, the user's files, and their preprocessing."""

from __future__ import annotations

from focal_algorithm.prompts.media.media import MediaSample

__all__ = ["MediaSample"]
