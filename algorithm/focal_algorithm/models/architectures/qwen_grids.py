"""Where the Qwen-VL families say how many frames, rows and columns of tokens a picture has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from focal_algorithm.prompts.media.preprocess import PixelScale
from focal_algorithm.prompts.media.qwen_patches import fitted_size, qwen_patches
from focal_algorithm.prompts.rows import PromptRow
from focal_common.errors import UnsupportedError

__all__ = ["merged_grid", "patch_inputs", "picture_grid"]


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
        scale: Of the pixels.
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
        config: Of the whole model.
        inputs: Keyword arguments of the forward, with ``image_grid_thw`` and ``video_grid_thw``, or with the
            ``position_ids`` that `generate` has made from them and hands on instead.
        row: Of the batch, with at least one run.

    Raises:
        UnsupportedError: Nothing says the grid, or the features are of another picture.
    """
    modality = "image" if row.runs[0].token_id == config.image_token_id else "video"
    index, name = row.picture, f"{modality}_grid_thw"
    grids, positions = inputs.get(name), inputs.get("position_ids")
    if grids is not None:
        if index >= len(grids):
            raise UnsupportedError(f"{row.name}: {name} has {len(grids)} rows; expected one per prompt")
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
