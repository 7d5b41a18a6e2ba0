"""Attaching a compression method to a stock model: the one place that registers hooks, and removes them."""

from __future__ import annotations

from focal_algorithm.hooks.attach import attach
from focal_algorithm.hooks.session import Session

__all__ = ["Session", "attach"]
