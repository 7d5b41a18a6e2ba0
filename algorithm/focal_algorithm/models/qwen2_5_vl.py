"""Qwen2.5-VL as transformers ships it: one image or one video of any resolution, with three position axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import Qwen2_5_VLForConditionalGeneration

from focal_algorithm.models.architectures.qwen_grids import (
    merged_grid,
    patch_inputs,
    picture_grid,
    pictures_of_patches,
)
from focal_algorithm.models.base import ModelAdapter, Placeholders, VisualPart, VisualRange
from focal_algorithm.models.sizes import VIDEO_TOKEN
from focal_algorithm.prompts.cells import CellMaker, VisualCells, concatenated, grid_cells
from focal_algorithm.prompts.layout import PromptRow, SampleLayout, token_grid
from focal_algorithm.prompts.media.preprocess import CLIP, PixelScale, resized
from focal_algorithm.prompts.media.tokens import ByteTokenizer, Tokenizer
from focal_common.errors import UnsupportedError


class Qwen25Vl(ModelAdapter):
    """Layout of `Qwen2_5_VLForConditionalGeneration` (arXiv 2502.13923).

    Four patches make a token: an image gives (rows / 2) x (columns / 2) tokens, a video that many per pair of frames,
    row by row. The marks around them are text.

    Deviations:
        The published artifact takes images only; a video has the same layout with more frames. Frames are
        taken to be one second apart.
    """

    family: ClassVar[str] = "qwen2_5_vl"
    model_class: ClassVar[Any] = Qwen2_5_VLForConditionalGeneration
    pixel_scale: ClassVar[PixelScale] = CLIP
    image_pixels: ClassVar[tuple[int, int]] = (256 * 28 * 28, 1605632)
    """Smallest and largest area of an image. Source: published scripts of Focus, HPCA 2026."""
    video_pixels: ClassVar[tuple[int, int]] = (128 * 28 * 28, 768 * 28 * 28)
    """Likewise of a frame. Source: qwen-vl-utils 0.0.10."""

    def visual_range(self, model: Any, inputs: Mapping[str, Any], row: PromptRow) -> VisualRange:
        """Return the pictures of one run; see `ModelAdapter.visual_range`."""
        run = row.only_run()
        frames, rows, columns = picture_grid(model.config, inputs, row)
        if frames * rows * columns != run.tokens:
            raise UnsupportedError(
                f"{row.name}: {run.tokens} placeholders, expected {frames} x {rows} x {columns} = "
                f"{frames * rows * columns} for the grid that was given"
            )
        return VisualRange(run.start, run.tokens, token_grid(frames, rows, columns))

    def prompt_text(self, question: str) -> tuple[str, str]:
        """Return the Qwen chat template around the visual tokens."""
        before = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        after = f"{question}<|im_end|>\n<|im_start|>assistant\n"
        return f"{before}<|vision_start|>", f"<|vision_end|>{after}"

    def visual_inputs(self, model: Any, frames: Sequence[Any], is_video: bool) -> VisualPart:
        """Turn frames or one image into patches and placeholders; see `ModelAdapter.visual_inputs`."""
        config = model.config
        bounds = self.video_pixels if is_video else self.image_pixels
        patches, grid = patch_inputs(model, frames, bounds, self.pixel_scale)
        shape = merged_grid(grid, config.vision_config.spatial_merge_size)
        cells, suffix = self.cell_maker(model, frames, grid, is_video), "_videos" if is_video else ""
        inputs = {f"pixel_values{suffix}": patches}
        inputs[f"{'video' if is_video else 'image'}_grid_thw"] = torch.tensor([grid])
        return VisualPart(
            self._pieces(config, shape, is_video), inputs | self._timing(config, is_video), cells
        )

    def _pieces(
        self, config: Any, shape: tuple[int, int, int], is_video: bool
    ) -> tuple[str | Placeholders, ...]:
        """Return placeholders with the marks between them, for (frames, rows, columns) of tokens."""
        token = config.video_token_id if is_video else config.image_token_id
        return (Placeholders(token, math.prod(shape)),)

    def _timing(self, config: Any, is_video: bool) -> dict[str, Tensor]:
        """Return what tells the model how far apart the frames are."""
        depth = float(config.vision_config.temporal_patch_size)
        return {"second_per_grid_ts": torch.tensor([depth])} if is_video else {}

    @staticmethod
    def cell_maker(
        model: Any, frames: Sequence[Any], grid: tuple[int, int, int], is_video: bool
    ) -> CellMaker:
        """Return the maker of cells: one picture per group of frames that a patch spans, its first frame.

        Args:
            model: The model.
            frames: PIL images.
            grid: Groups of frames, rows and columns in patches.
            is_video: Whether they are frames of a video.
        """
        vision = model.config.vision_config
        depth, patch = vision.temporal_patch_size, vision.patch_size
        groups, rows, columns = merged_grid(grid, vision.spatial_merge_size)
        size = (grid[2] * patch, grid[1] * patch)

        def cells() -> VisualCells:
            shown = tuple(resized(frames[depth * group], size) for group in range(groups))
            last = len(frames) - 1
            labels = tuple(
                f"frames {depth * group} to {min(last, depth * group + depth - 1)}" for group in range(groups)
            )
            grids = [grid_cells(group, size, rows, columns) for group in range(groups)]
            return VisualCells(shown, labels if is_video else ("image",), concatenated(grids))

        return cells

    def seen_cells(
        self, model: Any, pixels: Tensor, grid: Sequence[int] | None, layout: SampleLayout, is_video: bool
    ) -> VisualCells:
        """Put the patches together again; see `ModelAdapter.seen_cells`."""
        vision = model.config.vision_config
        groups, rows, columns = (int(side) for side in grid or (1, 0, 0))
        frames = pictures_of_patches(
            pixels,
            (groups, rows, columns),
            patch=vision.patch_size,
            merge=vision.spatial_merge_size,
            depth=vision.temporal_patch_size,
            scale=self.pixel_scale,
        )
        return self.cell_maker(model, frames, (groups, rows, columns), is_video)()

    @classmethod
    def random_tokenizer(cls) -> Tokenizer:
        """Return bytes with one token per mark."""
        return ByteTokenizer({"<|vision_start|>": VIDEO_TOKEN + 1, "<|vision_end|>": VIDEO_TOKEN + 2})

    def sample_pixels(self, model: Any) -> int:
        """Return 14 merge windows a side, or what the model's largest picture holds."""
        vision = model.config.vision_config
        unit = vision.patch_size * vision.spatial_merge_size
        most = getattr(model.config, "focal_pixels", self.image_pixels)[1]
        return min(14, int(most**0.5) // unit) * unit
