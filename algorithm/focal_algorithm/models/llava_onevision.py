"""LLaVA-OneVision as transformers ships it: one video, or one image of any resolution, per prompt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from torch import Tensor
from transformers import LlavaOnevisionForConditionalGeneration

from focal_algorithm.models.base import Placeholders, VisualPart, VisualRange
from focal_algorithm.models.llava_next import LlavaNext
from focal_algorithm.prompts.cells import VisualCells, concatenated, frame_labels, grid_cells
from focal_algorithm.prompts.layout import PromptRow, Run, SampleLayout, is_pyramid, token_grid
from focal_algorithm.prompts.media.preprocess import SIGLIP, PixelScale, resized, video_pixels
from focal_algorithm.prompts.vision import VisualMap, pooled_map
from focal_common.errors import UnsupportedError
from focal_traces.header.schema import TokenGrid


class LlavaOnevision(LlavaNext):
    """Layout of `LlavaOnevisionForConditionalGeneration`.

    A video gives ceil(side / 2) squared tokens per frame, row by row, and one trailing newline that counts as
    query text. An image gives side squared base tokens, then the unpadded high-resolution grid with a
    newline at the end of each row. With the real tower (side 27) that is 196 tokens per frame.

    Deviations:
        None from the published artifact: for images it calls S div 196 the number of frames and the side 27
        the frame stride, although neither describes frames; both are kept so that traces agree.
    """

    family: ClassVar[str] = "llava_onevision"
    model_class: ClassVar[Any] = LlavaOnevisionForConditionalGeneration
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "video"})
    pixel_scale: ClassVar[PixelScale] = SIGLIP

    def first_picture(
        self, model: Any, inputs: Mapping[str, Any], row: PromptRow
    ) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
        """Cut a run of images side by side, each as long as its size says; see `ModelAdapter.first_picture`."""
        if row.runs[0].token_id == model.config.video_token_id:
            return row.runs[:1], row.runs[1:]
        return super().first_picture(model, inputs, row)

    def visual_range(self, model: Any, inputs: Mapping[str, Any], row: PromptRow) -> VisualRange:
        """Return the frames of a video, or the overview and grid of an image; see `ModelAdapter.visual_range`."""
        run = row.only_run()
        if run.token_id == model.config.video_token_id:
            return self._video(model, run, row.name)
        return super().visual_range(model, inputs, row)

    def visual_map(self, model: Any, layout: SampleLayout) -> VisualMap:
        """Return frames pooled as the model pools them, or tiles packed as it packs them."""
        is_video = (
            layout.image_size_pixels is None
            and layout.grid is not None
            and not is_pyramid(layout.grid)
            and layout.grid.frame_stride == self._tokens_per_frame(model)
        )
        if is_video:
            rows = math.ceil(self._side(model) / 2)
            return replace(pooled_map(layout, model.model.apply_pooling, rows), tower_call=1)
        return super().visual_map(model, layout)

    def prompt_text(self, question: str) -> tuple[str, str]:
        """Return the Qwen chat template around the visual tokens."""
        before = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        return before, f"\n{question}<|im_end|>\n<|im_start|>assistant\n"

    def visual_inputs(self, model: Any, frames: Sequence[Any], is_video: bool) -> VisualPart:
        """Turn frames or one image into pixels and placeholders; see `ModelAdapter.visual_inputs`."""
        if not is_video:
            return super().visual_inputs(model, frames, is_video)
        pixels = video_pixels(frames, model.config.vision_config.image_size).to(model.dtype)
        tokens = self._tokens_per_frame(model) * len(frames) + 1
        part = (Placeholders(model.config.video_token_id, tokens),)
        return VisualPart(part, {"pixel_values_videos": pixels}, partial(self._video_cells, model, frames))

    def _video_cells(self, model: Any, frames: Sequence[Any]) -> VisualCells:
        crop, rows = model.config.vision_config.image_size, math.ceil(self._side(model) / 2)
        shown = tuple(resized(frame, (crop, crop)) for frame in frames)
        covered = self._side(model) * model.config.vision_config.patch_size
        box = (0, 0, covered, covered)
        grids = [grid_cells(index, (crop, crop), rows, rows, box=box) for index in range(len(frames))]
        return VisualCells(shown, frame_labels(len(frames), True), concatenated(grids))

    def _tokens_per_frame(self, model: Any) -> int:
        return math.ceil(self._side(model) / 2) ** 2

    def _video(self, model: Any, run: Run, name: str) -> VisualRange:
        per_frame, tokens = self._tokens_per_frame(model), run.tokens - 1
        if tokens < per_frame or tokens % per_frame:
            raise UnsupportedError(
                f"{name}: {run.tokens} video placeholders do not make one video of whole frames; expected a "
                f"multiple of {per_frame} plus 1"
            )
        side = math.ceil(self._side(model) / 2)
        return VisualRange(run.start, tokens, token_grid(tokens // per_frame, side, side))

    def _grid(self, model: Any, tokens: int, shape: tuple[int, int]) -> TokenGrid:
        frames = max(1, tokens // self._tokens_per_frame(model))
        return token_grid(frames, *shape, frame_stride=self._side(model))

    def _packed(self, model: Any, tiles: Tensor, image_size: list[int], newline: Tensor) -> Tensor:
        """Pack values of patches, axes (tiles, patches, width), as the model alone knows to."""
        aspect = model.config.vision_aspect_ratio
        packed, _ = model.model.pack_image_features(
            [tiles], [image_size], newline, vision_aspect_ratio=aspect
        )
        return packed[0]
