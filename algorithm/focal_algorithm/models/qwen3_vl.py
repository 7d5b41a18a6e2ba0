"""Qwen3-VL as transformers ships it: visual features also enter after the first layers, frames carry time marks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import Qwen3VLForConditionalGeneration

from focal_algorithm.models.architectures.qwen_grids import picture_grid
from focal_algorithm.models.base import Placeholders, VisualRange
from focal_algorithm.models.qwen2_5_vl import Qwen25Vl
from focal_algorithm.prompts.layout import PromptRow, Run
from focal_algorithm.prompts.media.preprocess import SIGLIP, PixelScale
from focal_common.errors import UnsupportedError


class Qwen3Vl(Qwen25Vl):
    """Layout of `Qwen3VLForConditionalGeneration`.

    An image is laid out as in Qwen2.5-VL. Each pair of frames of a video is preceded by its time in words and by a
    mark. The visual range reaches from the first to the last visual token, so the time marks between frames lie
    inside it and are treated like visual tokens, as the published layout of MiniCPM-V does with its marks.

    Deviations:
        Not in the published artifact. The frame stride is the most common distance between two frames; where
        the words of a time get longer, one pair of frames is further apart. Frames are taken to be one second
        apart.
    """

    family: ClassVar[str] = "qwen3_vl"
    model_class: ClassVar[Any] = Qwen3VLForConditionalGeneration
    pixel_scale: ClassVar[PixelScale] = SIGLIP
    image_pixels: ClassVar[tuple[int, int]] = (65536, 16777216)
    """Source: Qwen/Qwen3-VL-8B-Instruct preprocessor_config.json."""
    video_pixels: ClassVar[tuple[int, int]] = (128 * 32 * 32, 768 * 32 * 32)
    """Source: qwen-vl-utils 0.0.14."""

    def first_picture(
        self, model: Any, inputs: Mapping[str, Any], row: PromptRow
    ) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
        """Take as many runs for a video as it has frames; see `ModelAdapter.first_picture`."""
        kind = row.runs[0].token_id
        if kind != model.config.video_token_id:
            return super().first_picture(model, inputs, row)
        frames, _, _ = picture_grid(model.config, inputs, row)
        return row.runs[:frames], row.runs[frames:]

    def visual_range(self, model: Any, inputs: Mapping[str, Any], row: PromptRow) -> VisualRange:
        """Return an image, or a video whose frames are apart; see `ModelAdapter.visual_range`."""
        if row.runs[0].token_id != model.config.video_token_id:
            return super().visual_range(model, inputs, row)
        frames, rows, columns = picture_grid(model.config, inputs, row)
        if frames != len(row.runs):
            raise UnsupportedError(
                f"{row.name}: {len(row.runs)} runs of placeholders do not make one video; expected {frames} frames "
                f"of {rows} x {columns} = {rows * columns}"
            )
        return VisualRange.of_runs(row, rows, columns)

    def prompt_text(self, question: str) -> tuple[str, str]:
        """Return the Qwen chat template around the visual tokens."""
        return "<|im_start|>user\n", f"{question}<|im_end|>\n<|im_start|>assistant\n"

    def _pieces(
        self, config: Any, shape: tuple[int, int, int], is_video: bool
    ) -> tuple[str | Placeholders, ...]:
        """Return placeholders between marks, those of each pair of frames after their time."""
        pairs, rows, columns = shape
        token = config.video_token_id if is_video else config.image_token_id
        marked = ("<|vision_start|>", Placeholders(token, rows * columns), "<|vision_end|>")
        if not is_video:
            return marked
        depth = config.vision_config.temporal_patch_size
        middles_s = [pair * depth + (depth - 1) / 2 for pair in range(pairs)]
        return tuple(piece for middle in middles_s for piece in (f"<{middle:.1f} seconds>", *marked))

    def _timing(self, config: Any, is_video: bool) -> dict[str, Tensor]:
        """Return nothing: times stand in the prompt."""
        return {}

    def layer_additions(self, inputs: dict[str, Any]) -> tuple[dict[str, Any], tuple[Tensor, ...]]:
        """Take the deepstack features (arXiv 2406.04334) out of the decoder's arguments."""
        where, features = inputs.get("visual_pos_masks"), inputs.get("deepstack_visual_embeds")
        if where is None or not features:
            return inputs, ()
        additions = []
        for feature in features:
            addition = torch.zeros_like(inputs["inputs_embeds"])
            addition[where] = feature.to(addition)
            additions.append(addition)
        return inputs | {"deepstack_visual_embeds": None}, tuple(additions)
