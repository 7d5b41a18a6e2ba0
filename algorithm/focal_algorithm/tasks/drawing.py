"""Shapes as masks of pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from focal_algorithm.tasks.vocabulary import SHAPES
from focal_common.errors import ConfigError, near_matches

__all__ = ["paint", "shape_masks"]

_BLACK_LEVEL = 12
_RADII: dict[str, tuple[float, float, float]] = {
    # Outer edge; inside of which the shape is hollow; inside of which it is black: in units of the radius.
    "circle": (1.0, 0.0, 0.0),
    "ring": (1.1, 0.6, 0.0),
    "wheel": (1.1, 0.0, 0.6),
    "dot": (0.6, 0.0, 0.0),
}


def shape_masks(
    shape: str, centres: NDArray[np.float64], radius: float, size_pixels: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where a shape covers a square picture, and where it is black.

    Shapes differ in what a patch of four pixels shows, which a small tower learns in minutes; outlines alone took it
    too long.

    Args:
        shape: One of `SHAPES`.
        centres: (column, row) in pixels, axes (pictures, 2).
        radius: In pixels.
        size_pixels: Side of the picture.

    Returns:
        Two masks, axes (pictures, rows, columns); the black one lies inside the other.
    """
    if shape not in _RADII:
        raise ConfigError(f"unknown shape '{shape}'; {near_matches(shape, SHAPES)}")
    grid = np.arange(size_pixels, dtype=np.float64) + 0.5
    across = grid[None, None, :] - centres[:, 0, None, None]
    down = grid[None, :, None] - centres[:, 1, None, None]
    square = across**2 + down**2
    outer, hollow, black = (edge * radius for edge in _RADII[shape])
    return (square <= outer**2) & (square >= hollow**2), square < black**2


def paint(
    views: NDArray[np.float32],
    owners: NDArray[np.int8],
    *,
    number: int,
    shape: str,
    color: NDArray[np.float64],
    centres: NDArray[np.float64],
    radius: float,
) -> None:
    """Draw an object into pictures, axes (pictures, rows, columns, RGB), and note whose pixels they are."""
    covered, black = shape_masks(shape, centres, radius, views.shape[1])
    views[covered] = color
    views[black] = _BLACK_LEVEL
    owners[covered | black] = number
