"""Qwen3-VL as transformers ships it: visual features also enter after the first layers, frames carry time marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import mode
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

from focal_algorithm.models.architectures.qwen_grids import GridReader, merged_grid, patch_inputs
from focal_algorithm.models.architectures.random_weights import (
    BYTE_TEXT,
    IMAGE_TOKEN,
    VIDEO_TOKEN,
    keep_tokens_apart,
    size_of,
)
from focal_algorithm.models.base import Placeholders, VisualPart
from focal_algorithm.models.qwen2_5_vl import Qwen25Vl
from focal_algorithm.prompts.layout import SampleLayout
from focal_algorithm.prompts.media.pixel_scales import SIGLIP_DEVIATION, SIGLIP_MEAN
from focal_algorithm.prompts.rows import PromptRow, prompt_rows
from focal_common.errors import UnsupportedError
from focal_traces.header.schema import TokenGrid

__all__ = ["Qwen3Vl"]

_SIZES: dict[str, dict[str, Any]] = {
    # 36 layers and three deepstack features as Qwen3-VL-8B; widths are chosen for two CPU cores.
    "small": {
        "vision_config": {
            "depth": 4,
            "hidden_size": 128,
            "intermediate_size": 256,
            "num_heads": 4,
            "out_hidden_size": 256,
            "deepstack_visual_indexes": [0, 1, 2],
            "num_position_embeddings": 784,
        },
        "text_config": {
            "hidden_size": 256,
            "intermediate_size": 704,
            "num_hidden_layers": 36,
            "num_attention_heads": 8,
            "num_key_value_heads": 2,
            "head_dim": 32,
        },
        "mrope_section": [6, 5, 5],
        "pixels": [4 * 32 * 32, 196 * 32 * 32],
    },
    "tiny": {
        "vision_config": {
            "depth": 3,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 64,
            "deepstack_visual_indexes": [0, 1],
            "num_position_embeddings": 64,
        },
        "text_config": {
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
        },
        "mrope_section": [4, 2, 2],
        "pixels": [4 * 32 * 32, 16 * 32 * 32],
    },
}


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
    model_types: ClassVar[tuple[str, ...]] = ("qwen3_vl",)
    pixel_mean: ClassVar[tuple[float, float, float]] = SIGLIP_MEAN
    pixel_deviation: ClassVar[tuple[float, float, float]] = SIGLIP_DEVIATION
    image_pixels: ClassVar[tuple[int, int]] = (65536, 16777216)
    """Source: Qwen/Qwen3-VL-8B-Instruct preprocessor_config.json."""
    video_pixels: ClassVar[tuple[int, int]] = (128 * 32 * 32, 768 * 32 * 32)
    """Source: qwen-vl-utils 0.0.14."""
    adds_after_layers: ClassVar[bool] = True

    @classmethod
    def random_model(cls, size: str, attention: str) -> Any:
        """Build a model with random weights; a size of ``small`` or ``tiny``."""
        shape = size_of(cls.family, size, _SIZES)
        rope = {"rope_type": "default", "rope_theta": 5e6, "mrope_section": shape["mrope_section"]}
        config = Qwen3VLConfig(
            vision_config=shape["vision_config"],
            text_config={
                **BYTE_TEXT,
                **shape["text_config"],
                "rope_parameters": rope | {"mrope_interleaved": True},
            },
            image_token_id=IMAGE_TOKEN,
            video_token_id=VIDEO_TOKEN,
            focal_pixels=shape["pixels"],
            attn_implementation=attention,
        )
        model = Qwen3VLForConditionalGeneration(config)
        visual = model.model.visual
        keep_tokens_apart(
            visual.patch_embed.proj.weight, visual.merger.linear_fc2.weight, model.model.language_model.layers
        )
        return model

    @classmethod
    def load_model(cls, location: str, dtype: torch.dtype, attention: str, is_offline: bool) -> Any:
        """Load a checkpoint by folder or Hub name."""
        return Qwen3VLForConditionalGeneration.from_pretrained(
            location, dtype=dtype, attn_implementation=attention, local_files_only=is_offline
        )

    def layouts(
        self, model: Any, inputs: Mapping[str, Any], sample_ids: Sequence[str] | None = None
    ) -> tuple[SampleLayout, ...]:
        """Return the layout of every row of a batch; see `ModelAdapter.layouts`."""
        config = model.config
        reader = GridReader(config, inputs)
        layouts = []
        for row in prompt_rows(inputs, (config.image_token_id, config.video_token_id), sample_ids):
            if not row.runs:
                layouts.append(SampleLayout(row.name, len(row.token_ids), 0, 0, None))
                continue
            if row.runs[0].token_id == config.video_token_id:
                start, tokens, grid = _video(reader, row)
            else:
                run = row.only_run() or row.runs[0]
                start, tokens, grid = run.start, run.tokens, reader.grid(row, run)
            layouts.append(SampleLayout(row.name, len(row.token_ids), start, tokens, grid))
        return tuple(layouts)

    def prompt_text(self, question: str) -> tuple[str, str]:
        """Return the Qwen chat template around the visual tokens."""
        return "<|im_start|>user\n", f"{question}<|im_end|>\n<|im_start|>assistant\n"

    def visual_inputs(self, model: Any, frames: Sequence[Any], is_video: bool) -> VisualPart:
        """Turn frames or one image into patches, marks and placeholders; see `ModelAdapter.visual_inputs`."""
        config = model.config
        bounds = self.video_pixels if is_video else self.image_pixels
        patches, grid = patch_inputs(model, frames, bounds, self.pixel_mean, self.pixel_deviation)
        pairs, rows, columns = merged_grid(grid, config.vision_config.spatial_merge_size)
        cells = self.cell_maker(model, frames, grid, is_video)
        if not is_video:
            inputs = {"pixel_values": patches, "image_grid_thw": torch.tensor([grid])}
            image = Placeholders(config.image_token_id, rows * columns)
            return VisualPart(("<|vision_start|>", image, "<|vision_end|>"), inputs, cells)
        depth = config.vision_config.temporal_patch_size
        pieces: list[str | Placeholders] = []
        for pair in range(pairs):
            middle_s = pair * depth + (depth - 1) / 2
            pieces += [f"<{middle_s:.1f} seconds><|vision_start|>"]
            pieces += [Placeholders(config.video_token_id, rows * columns), "<|vision_end|>"]
        inputs = {"pixel_values_videos": patches, "video_grid_thw": torch.tensor([grid])}
        return VisualPart(tuple(pieces), inputs, cells)

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


def _video(reader: GridReader, row: PromptRow) -> tuple[int, int, TokenGrid]:
    """Return start, length and grid of a video whose frames are apart."""
    first, last = row.runs[0], row.runs[-1]
    frames, rows, columns = reader.shape(row, row.runs)
    lengths = {run.tokens for run in row.runs}
    is_one = {run.token_id for run in row.runs} == {first.token_id}
    if not is_one or lengths != {rows * columns} or frames != len(row.runs):
        raise UnsupportedError(
            f"{row.name}: {len(row.runs)} runs of placeholders do not make one video; expected {frames} frames "
            f"of {rows} x {columns} = {rows * columns}"
        )
    starts = [run.start for run in row.runs]
    gaps = [after - before for before, after in pairwise(starts)]
    grid = TokenGrid(
        frames=frames,
        rows=rows,
        columns=columns,
        frame_stride=mode(gaps) if gaps else rows * columns,
        row_stride=columns,
        column_stride=1,
    )
    return first.start, last.start + last.tokens - first.start, grid
