"""Words that the procedural benchmarks use, and what they look like."""

from __future__ import annotations

__all__ = ["COLORS", "DIRECTIONS", "OPPOSITE_SIDES", "QUADRANTS", "SHAPES", "STEPS"]

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (225, 35, 35),
    "green": (35, 195, 55),
    "blue": (45, 75, 240),
    "yellow": (240, 225, 50),
    "purple": (165, 55, 205),
    "white": (245, 245, 245),
}
"""sRGB of each colour word, chosen to be far apart."""

SHAPES = ("circle", "ring", "wheel", "dot")
"""Filled disc, hollow disc, disc with a black hub, small disc."""

STEPS: dict[str, tuple[int, int]] = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
"""Unit step (column, row) of each direction of motion; rows count downwards."""

DIRECTIONS = (*STEPS, "still")

QUADRANTS = ("upper-left", "upper-right", "lower-left", "lower-right")
"""Row half first, then column half."""

OPPOSITE_SIDES = {"left": "right", "right": "left", "above": "below", "below": "above"}
