"""Pixels of MiniCPM-V 2.6: an overview and, for large pictures, slices of it (LLaVA-UHD, arXiv 2403.11703)."""

from __future__ import annotations

import math

from PIL import Image
from torch import Tensor

from focal_algorithm.prompts.media.preprocess import normalised, resized

SlicedPicture = tuple[Image.Image, list[list[Image.Image]]]
"""The overview, and rows of slices."""


def sliced(picture: Image.Image, scale_pixels: int, patch_pixels: int, most_slices: int) -> SlicedPicture:
    """Cut a picture as the model was trained.

    Args:
        picture: RGB.
        scale_pixels: Side of a square of the area that overview and slices have.
        patch_pixels: Side of a patch; all sides are multiples of it.
        most_slices: Largest number of slices.
    """
    width, height = picture.size
    grid = _slice_grid(width, height, scale_pixels, most_slices)
    if grid is None:
        return resized(picture, _fitted(width, height, scale_pixels, patch_pixels, may_grow=True)), []
    overview = resized(picture, _fitted(width, height, scale_pixels, patch_pixels, may_grow=False))
    columns, rows = grid
    slice_width, slice_height = _fitted(
        _multiple(width, columns) / columns,
        _multiple(height, rows) / rows,
        scale_pixels,
        patch_pixels,
        may_grow=True,
    )
    whole = resized(picture, (slice_width * columns, slice_height * rows))
    boxes = [
        [(left, top, left + slice_width, top + slice_height) for left in range(0, whole.width, slice_width)]
        for top in range(0, whole.height, slice_height)
    ]
    return overview, [[whole.crop(box) for box in line] for line in boxes]


def patch_strip(picture: Image.Image, patch_pixels: int) -> tuple[Tensor, tuple[int, int]]:
    """Return patches side by side, axes (channels, patch rows, patches * patch columns), and their (rows, columns)."""
    pixels = normalised(picture)
    rows, columns = pixels.shape[1] // patch_pixels, pixels.shape[2] // patch_pixels
    patches = pixels.view(3, rows, patch_pixels, columns, patch_pixels).transpose(1, 2)
    return patches.reshape(3, patch_pixels, -1), (rows, columns)


def _slice_grid(width: int, height: int, scale_pixels: int, most_slices: int) -> tuple[int, int] | None:
    wanted = min(math.ceil(width * height / scale_pixels**2), most_slices)
    if wanted <= 1:
        return None
    counts = [count for count in (wanted - 1, wanted, wanted + 1) if 1 < count <= most_slices]
    grids = [(n, count // n) for count in counts for n in range(1, count + 1) if count % n == 0]
    return min(grids, key=lambda grid: abs(math.log(width / height) - math.log(grid[0] / grid[1])))


def _fitted(
    width: float, height: float, scale_pixels: int, patch_pixels: int, may_grow: bool
) -> tuple[int, int]:
    if may_grow or width * height > scale_pixels**2:
        ratio = width / height
        height = int(scale_pixels / math.sqrt(ratio))
        width = int(height * ratio)
    return _multiple(width, patch_pixels), _multiple(height, patch_pixels)


def _multiple(length: float, unit: int) -> int:
    return max(round(length / unit) * unit, unit)
