"""Where the Qwen-VL families say how many frames, rows and columns of tokens a picture has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from focal_algorithm.prompts.media.preprocess import Channels
from focal_algorithm.prompts.media.qwen_patches import fitted_size, qwen_patches
from focal_algorithm.prompts.rows import PromptRow, Run
from focal_common.errors import UnsupportedError
from focal_traces.header.schema import TokenGrid

__all__ = ["GridReader", "merged_grid", "patch_inputs"]


def merged_grid(grid: Sequence[int], merge: int) -> tuple[int, int, int]:
    """Return frames, rows and columns in tokens from those in patches."""
    return int(grid[0]), int(grid[1]) // merge, int(grid[2]) // merge


def patch_inputs(
    model: Any, frames: Sequence[Any], bounds: Sequence[int], mean: Channels, deviation: Channels
) -> tuple[Tensor, tuple[int, int, int]]:
    """Return patches in the model's dtype and their grid.

    Args:
        model: A Qwen-VL model; one with random weights carries its own ``focal_pixels``.
        frames: RGB pictures of one size.
        bounds: Smallest and largest area of a picture, for checkpoints.
        mean: Of the channels.
        deviation: Of the channels.
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
        mean=mean,
        deviation=deviation,
    )
    return patches.to(model.dtype), grid


class GridReader:
    """Hands out the grids of a batch in the order of its images and videos.

    Args:
        config: Of the whole model.
        inputs: Keyword arguments of the forward, with ``image_grid_thw`` and ``video_grid_thw``, or with the
            ``position_ids`` that `generate` has made from them and hands on instead.
    """

    def __init__(self, config: Any, inputs: Mapping[str, Any]) -> None:
        self._config = config
        self._inputs = inputs
        self._seen: Counter[str] = Counter()

    def grid(self, row: PromptRow, run: Run) -> TokenGrid:
        """Return the grid of an image or video whose tokens make one run.

        Raises:
            UnsupportedError: There is no grid, or it does not match the number of placeholders.
        """
        frames, rows, columns = self.shape(row, (run,))
        if frames * rows * columns != run.tokens:
            raise UnsupportedError(
                f"{row.name}: {run.tokens} placeholders, expected {frames} x {rows} x {columns} = "
                f"{frames * rows * columns} for the grid that was given"
            )
        return TokenGrid(
            frames=frames,
            rows=rows,
            columns=columns,
            frame_stride=rows * columns,
            row_stride=columns,
            column_stride=1,
        )

    def shape(self, row: PromptRow, runs: Sequence[Run]) -> tuple[int, int, int]:
        """Return frames, rows and columns in tokens of one image or video, whose frames may be apart.

        Raises:
            UnsupportedError: Nothing says the grid, or the features are of another picture.
        """
        modality = "image" if runs[0].token_id == self._config.image_token_id else "video"
        index, name = self._seen[modality], f"{modality}_grid_thw"
        self._seen[modality] += 1
        grids, positions = self._inputs.get(name), self._inputs.get("position_ids")
        if grids is not None:
            if index >= len(grids):
                raise UnsupportedError(f"{row.name}: {name} has {len(grids)} rows; expected one per prompt")
            return merged_grid(grids[index].tolist(), self._config.vision_config.spatial_merge_size)
        encoded = (self._inputs.get("mm_encoder_outputs") or {}).get(modality)
        if encoded is None or positions is None or positions.ndim != 3:
            raise UnsupportedError(
                f"{row.name}: the grid of a picture follows from {name}, which the forward lacks"
            )
        tokens = sum(run.tokens for run in runs)
        if index >= len(encoded.pooler_output) or len(encoded.pooler_output[index]) != tokens:
            raise UnsupportedError(f"{row.name}: {tokens} placeholders do not make one {modality}")
        own = positions[-2:, row.index][:, row.is_real]
        rows, columns = (
            len(axis.unique()) for axis in own[:, runs[0].start : runs[0].start + runs[0].tokens]
        )
        return tokens // (rows * columns), rows, columns
