"""Where the Qwen-VL families say how many frames, rows and columns of tokens a picture has."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from focal_algorithm.prompts.layout import PromptRow
from focal_algorithm.prompts.media.preprocess import PixelScale, normalised, picture_of, resized
from focal_common.errors import UnsupportedError


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
        scale: Scale of the pixels.

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


def merged_grid(grid: Sequence[int], merge: int) -> tuple[int, int, int]:
    """Return frames, rows and columns in tokens from those in patches."""
    return int(grid[0]), int(grid[1]) // merge, int(grid[2]) // merge


def patch_inputs(
    model: Any, frames: Sequence[Any], bounds: Sequence[int], scale: PixelScale
) -> tuple[Tensor, tuple[int, int, int]]:
    """Return patches in the model's dtype and their grid.

    Args:
        model: A Qwen-VL model; one with random weights carries its own ``focal_pixels``.
        frames: RGB pictures of one size.
        bounds: Smallest and largest area of a picture, for checkpoints.
        scale: Scale of the pixels.
    """
    vision = model.config.vision_config
    least, most = getattr(model.config, "focal_pixels", bounds)
    unit = vision.patch_size * vision.spatial_merge_size
    size = fitted_size(frames[0].height, frames[0].width, unit, least, most)
    patches, grid = qwen_patches(
        frames,
        size,
        patch=vision.patch_size,
        merge=vision.spatial_merge_size,
        depth=vision.temporal_patch_size,
        scale=scale,
    )
    return patches.to(model.dtype), grid


def picture_grid(config: Any, inputs: Mapping[str, Any], row: PromptRow) -> tuple[int, int, int]:
    """Return frames, rows and columns in tokens of the image or video of a row, whose frames may be apart.

    Args:
        config: Configuration of the whole model.
        inputs: Keyword arguments of the forward, with ``image_grid_thw`` and ``video_grid_thw``, or with the
            ``position_ids`` that `generate` has made from them and hands on instead.
        row: Row of the batch, with at least one run.

    Raises:
        UnsupportedError: Nothing says the grid, or the features are of another picture.
    """
    modality = "image" if row.runs[0].token_id == config.image_token_id else "video"
    index, name = row.picture, f"{modality}_grid_thw"
    grids, positions = inputs.get(name), inputs.get("position_ids")
    if grids is not None:
        if index >= len(grids):
            raise UnsupportedError(f"{row.name}: {name} has {len(grids)} rows; expected one per picture")
        return merged_grid(grids[index].tolist(), config.vision_config.spatial_merge_size)
    encoded = (inputs.get("mm_encoder_outputs") or {}).get(modality)
    if encoded is None or positions is None or positions.ndim != 3:
        raise UnsupportedError(
            f"{row.name}: the grid of a picture follows from {name}, which the forward lacks"
        )
    tokens = sum(run.tokens for run in row.runs)
    if index >= len(encoded.pooler_output) or len(encoded.pooler_output[index]) != tokens:
        raise UnsupportedError(f"{row.name}: {tokens} placeholders do not make one {modality}")
    first = row.runs[0]
    places = positions[-2:, row.index][:, row.is_real][:, first.start : first.start + first.tokens]
    rows, columns = (len(axis.unique()) for axis in places)
    return tokens // (rows * columns), rows, columns
