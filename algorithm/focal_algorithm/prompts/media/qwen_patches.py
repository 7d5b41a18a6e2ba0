"""Pixels of the Qwen-VL families: pictures of any aspect ratio, cut into patches grouped by merge window."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from PIL import Image
from torch import Tensor

from focal_algorithm.prompts.media.preprocess import PixelScale, normalised, picture_of, resized

__all__ = ["fitted_size", "pictures_of_patches", "qwen_patches"]


def fitted_size(
    height: int, width: int, unit_pixels: int, least_pixels: int, most_pixels: int
) -> tuple[int, int]:
    """Return (height, width) near the given ones: multiples of a unit, with an area between two bounds.

    Args:
        height: In pixels.
        width: In pixels.
        unit_pixels: Side of a merge window.
        least_pixels: Smallest area.
        most_pixels: Largest area.
    """

    def rounded(scale: float, rule: Callable[[float], float]) -> tuple[int, int]:
        sides = (
            max(unit_pixels, int(rule(side * scale / unit_pixels)) * unit_pixels) for side in (height, width)
        )
        first, second = sides
        return first, second

    size = rounded(1.0, round)
    if size[0] * size[1] > most_pixels:
        return rounded(math.sqrt(most_pixels / (height * width)), math.floor)
    if size[0] * size[1] < least_pixels:
        return rounded(math.sqrt(least_pixels / (height * width)), math.ceil)
    return size


def qwen_patches(
    frames: Sequence[Image.Image],
    size: tuple[int, int],
    *,
    patch: int,
    merge: int,
    depth: int,
    scale: PixelScale,
) -> tuple[Tensor, tuple[int, int, int]]:
    """Cut frames into patches in the order in which the tower merges them (Qwen2-VL, arXiv 2409.12191, sec. 2.1).

    Args:
        frames: RGB; the last is repeated to a multiple of ``depth``.
        size: (height, width) to resize to, multiples of ``patch * merge``.
        patch: Side of a patch in pixels.
        merge: Patches per side of a merge window.
        depth: Frames per patch.
        scale: Of the pixels.

    Returns:
        Axes (patches, channels * depth * patch * patch), fp32; and the grid (frames, rows, columns) in patches.
    """
    height, width = size
    pictures = [normalised(resized(frame, (width, height)), scale) for frame in frames]
    pictures += [pictures[-1]] * (-len(pictures) % depth)
    grid = (len(pictures) // depth, height // patch, width // patch)
    clip = torch.stack(pictures).view(
        grid[0], depth, 3, grid[1] // merge, merge, patch, grid[2] // merge, merge, patch
    )
    ordered = clip.permute(0, 3, 6, 4, 7, 2, 1, 5, 8)
    return ordered.reshape(math.prod(grid), -1), grid


def pictures_of_patches(
    patches: Tensor,
    grid: Sequence[int],
    *,
    patch: int,
    merge: int,
    depth: int,
    scale: PixelScale,
) -> list[Image.Image]:
    """Return the frames that `qwen_patches` cut, the repeated last ones included; see there for arguments."""
    groups, rows, columns = grid
    ordered = patches.view(groups, rows // merge, columns // merge, merge, merge, 3, depth, patch, patch)
    clip = ordered.permute(0, 6, 5, 1, 3, 7, 2, 4, 8)
    frames = clip.reshape(groups * depth, 3, rows * patch, columns * patch)
    return [picture_of(frame, scale) for frame in frames]
