"""LLaVA-1.5 as transformers ships it: one image per prompt, from a CLIP tower whose CLS token is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from transformers import LlavaConfig, LlavaForConditionalGeneration

from focal_algorithm.models.architectures.random_weights import (
    BYTE_TEXT,
    IMAGE_TOKEN,
    keep_tokens_apart,
    size_of,
)
from focal_algorithm.models.base import ModelAdapter, Placeholders, VisualPart
from focal_algorithm.prompts.cells import VisualCells, grid_cells
from focal_algorithm.prompts.layout import SampleLayout
from focal_algorithm.prompts.media.pixel_scales import CLIP_DEVIATION, CLIP_MEAN
from focal_algorithm.prompts.media.preprocess import cropped, cropped_pixels
from focal_algorithm.prompts.rows import prompt_rows
from focal_common.errors import UnsupportedError
from focal_traces.header.schema import TokenGrid

__all__ = ["Llava"]

_SIZES: dict[str, dict[str, Any]] = {
    # 24 x 24 patches and 32 layers as LLaVA-1.5-7B; widths are chosen for two CPU cores.
    "small": {
        "vision_config": {
            "hidden_size": 128,
            "intermediate_size": 256,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "image_size": 336,
            "patch_size": 14,
            "projection_dim": 128,
        },
        "text_config": {
            "hidden_size": 256,
            "intermediate_size": 704,
            "num_hidden_layers": 32,
            "num_attention_heads": 8,
            "num_key_value_heads": 8,
        },
    },
    "tiny": {
        "vision_config": {
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "image_size": 84,
            "patch_size": 14,
            "projection_dim": 32,
        },
        "text_config": {
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
        },
    },
}

_SYSTEM = (
    "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, "
    "detailed, and polite answers to the human's questions."
)


class Llava(ModelAdapter):
    """Layout of `LlavaForConditionalGeneration` (LLaVA-1.5, arXiv 2310.03744).

    An image gives side squared tokens, row by row, without the tower's CLS token and without newlines: 24 x 24
    with the real tower. It has one frame.

    Deviations:
        The short side is resized and the centre cut out, as the processor of the converted checkpoints does; the
        original evaluation pads to a square instead.
    """

    family: ClassVar[str] = "llava"
    model_types: ClassVar[tuple[str, ...]] = ("llava",)
    modalities: ClassVar[frozenset[str]] = frozenset({"image"})
    pixel_mean: ClassVar[tuple[float, float, float]] = CLIP_MEAN
    pixel_deviation: ClassVar[tuple[float, float, float]] = CLIP_DEVIATION

    @classmethod
    def random_model(cls, size: str, attention: str) -> Any:
        """Build a model with random weights; a size of ``small`` or ``tiny``."""
        shape = size_of(cls.family, size, _SIZES)
        tower = shape["vision_config"]
        config = LlavaConfig(
            vision_config={"model_type": "clip_vision_model", **tower},
            text_config={"model_type": "llama", **BYTE_TEXT, **shape["text_config"]},
            image_token_index=IMAGE_TOKEN,
            image_seq_length=(tower["image_size"] // tower["patch_size"]) ** 2,
            vision_feature_layer=-2,
            vision_feature_select_strategy="default",
            attn_implementation=attention,
        )
        model = LlavaForConditionalGeneration(config)
        inner = model.model
        keep_tokens_apart(
            inner.vision_tower.embeddings.patch_embedding.weight,
            inner.multi_modal_projector.linear_2.weight,
            inner.language_model.layers,
        )
        return model

    @classmethod
    def load_model(cls, location: str, dtype: torch.dtype, attention: str, is_offline: bool) -> Any:
        """Load a checkpoint by folder or Hub name."""
        return LlavaForConditionalGeneration.from_pretrained(
            location, dtype=dtype, attn_implementation=attention, local_files_only=is_offline
        )

    def layouts(
        self, model: Any, inputs: Mapping[str, Any], sample_ids: Sequence[str] | None = None
    ) -> tuple[SampleLayout, ...]:
        """Return the layout of every row of a batch; see `ModelAdapter.layouts`."""
        side = self._side(model)
        grid = TokenGrid(
            frames=1, rows=side, columns=side, frame_stride=side**2, row_stride=side, column_stride=1
        )
        layouts = []
        for row in prompt_rows(inputs, (model.config.image_token_id,), sample_ids):
            run = row.only_run()
            if run is None:
                layouts.append(SampleLayout(row.name, len(row.token_ids), 0, 0, None))
                continue
            if run.tokens != side**2:
                raise UnsupportedError(
                    f"{row.name}: {run.tokens} image placeholders; expected {side} x {side} = {side**2}"
                )
            layouts.append(SampleLayout(row.name, len(row.token_ids), run.start, run.tokens, grid))
        return tuple(layouts)

    def prompt_text(self, question: str) -> tuple[str, str]:
        """Return the Vicuna conversation around the image."""
        return f"<s>{_SYSTEM} USER: ", f"\n{question} ASSISTANT:"

    def visual_inputs(self, model: Any, frames: Sequence[Any], is_video: bool) -> VisualPart:
        """Turn one image into pixels and placeholders; see `ModelAdapter.visual_inputs`."""
        self.require(is_video)
        size = model.config.vision_config.image_size
        pixels = cropped_pixels(frames[0], size, self.pixel_mean, self.pixel_deviation)
        side = self._side(model)

        def cells() -> VisualCells:
            grid = grid_cells(0, (size, size), side, side)
            return VisualCells((cropped(frames[0], size),), ("image",), grid)

        placeholders = Placeholders(model.config.image_token_id, side**2)
        return VisualPart((placeholders,), {"pixel_values": pixels.to(model.dtype)}, cells)

    def _side(self, model: Any) -> int:
        return int(model.config.vision_config.image_size // model.config.vision_config.patch_size)
