"""Shapes as masks of pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from focal_algorithm.tasks.vocabulary import SHAPES
from focal_common.errors import ConfigError, near_matches

__all__ = ["shape_mask"]


def shape_mask(
    shape: str, centres: NDArray[np.float64], radius: float, size_pixels: int
) -> NDArray[np.bool_]:
    """Return where a shape covers a square picture.

    All shapes have about the same area, so that size does not give the shape away; they differ in coarse outline,
    which a small tower can learn in minutes.

    Args:
        shape: One of `SHAPES`.
        centres: (column, row) in pixels, axes (pictures, 2).
        radius: In pixels.
        size_pixels: Side of the picture.

    Returns:
        Axes (pictures, rows, columns).
    """
    grid = np.arange(size_pixels, dtype=np.float64) + 0.5
    across = np.abs(grid[None, None, :] - centres[:, 0, None, None])
    down = grid[None, :, None] - centres[:, 1, None, None]
    height = np.abs(down)
    if shape == "circle":
        return across**2 + down**2 <= (0.9 * radius) ** 2
    if shape == "ring":
        distance = across**2 + down**2
        return (distance <= (1.1 * radius) ** 2) & (distance >= (0.6 * radius) ** 2)
    if shape == "bar":
        return (across <= 1.3 * radius) & (height <= 0.5 * radius)
    if shape == "pole":
        return (height <= 1.3 * radius) & (across <= 0.5 * radius)
    raise ConfigError(f"unknown shape '{shape}'; {near_matches(shape, SHAPES)}")
