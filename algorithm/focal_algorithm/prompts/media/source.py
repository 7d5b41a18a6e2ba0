"""One input of a run, whatever it was made from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from PIL.Image import Image

from focal_algorithm.prompts.question import Question

__all__ = ["MediaSample"]


@dataclass(frozen=True)
class MediaSample:
    """Frames of one video, or one image.

    Attributes:
        sample_id: File name as a plain name, or photograph and seed.
        frames: RGB pictures in order; one for an image.
        is_video: Whether the frames are a video, be it of one frame.
        origin: Where the pixels come from, for the manifest.
        question: Its own question; empty to take that of the run.
        asked: Its question with the right answer; None outside a benchmark.
    """

    sample_id: str
    frames: tuple[Image, ...]
    is_video: bool
    origin: str
    question: str = ""
    asked: Question | None = None

    @property
    def pixels_sha256(self) -> str:
        """What identifies the pictures, whatever they are called."""
        found = hashlib.sha256()
        for frame in self.frames:
            found.update(f"{frame.mode} {frame.width} x {frame.height}\n".encode() + frame.tobytes())
        return found.hexdigest()
