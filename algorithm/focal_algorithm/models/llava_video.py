"""LLaVA-Video: one video per prompt, 13 x 14 tokens per frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch

from focal_algorithm.models.architectures.llava_video import (
    LlavaVideoConfig,
    LlavaVideoForConditionalGeneration,
)
from focal_algorithm.models.architectures.random_weights import (
    BYTE_TEXT,
    IMAGE_TOKEN,
    VIDEO_TOKEN,
    keep_tokens_apart,
    size_of,
)
from focal_algorithm.models.base import ModelAdapter, Placeholders, VisualPart
from focal_algorithm.prompts.cells import VisualCells, concatenated, frame_labels, grid_cells
from focal_algorithm.prompts.layout import SampleLayout
from focal_algorithm.prompts.media.preprocess import resized, video_pixels
from focal_algorithm.prompts.rows import prompt_rows
from focal_algorithm.prompts.vision import VisualMap, pooled_map
from focal_common.errors import UnsupportedError
from focal_traces.header.schema import TokenGrid

__all__ = ["LlavaVideo"]

_SIZES: dict[str, dict[str, Any]] = {
    # 27 x 27 patches as the real tower, hence 13 x 14 tokens a frame; 28 layers as Qwen2-7B.
    "small": {
        "vision_config": {
            "hidden_size": 128,
            "intermediate_size": 256,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "image_size": 378,
            "patch_size": 14,
        },
        "text_config": {
            "hidden_size": 256,
            "intermediate_size": 704,
            "num_hidden_layers": 28,
            "num_attention_heads": 8,
            "num_key_value_heads": 2,
        },
    },
    "tiny": {
        "vision_config": {
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 98,
            "patch_size": 14,
        },
        "text_config": {
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
        },
    },
}


class LlavaVideo(ModelAdapter):
    """Layout of LLaVA-Video (arXiv 2410.02713) as its evaluation sets it.

    A frame gives floor(side / 2) rows of as many tokens and one newline, which is inside the visual range like any
    other token: 13 x 14 = 182 per frame with the real tower. All tokens after the last row are query text.

    Deviations:
        None from the published artifact, which takes no images in this family either.
    """

    family: ClassVar[str] = "llava_video"
    model_types: ClassVar[tuple[str, ...]] = ("llava_video",)
    foreign_types: ClassVar[Mapping[str, str]] = {
        "llava_qwen": "it is laid out as the original code saved it; convert it with 'focal convert-model "
        "FOLDER NEW_FOLDER' and use the new folder"
    }
    modalities: ClassVar[frozenset[str]] = frozenset({"video"})

    @property
    def published_name(self) -> str:
        """Name of the family in tables of published parameters."""
        return "llava_vid"

    @classmethod
    def random_model(cls, size: str, attention: str) -> Any:
        """Build a model with random weights; a size of ``small`` or ``tiny``."""
        shape = size_of(cls.family, size, _SIZES)
        config = LlavaVideoConfig(
            vision_config={
                "model_type": "siglip_vision_model",
                "vision_use_head": False,
                **shape["vision_config"],
            },
            text_config={"model_type": "qwen2", **BYTE_TEXT, **shape["text_config"]},
            image_token_index=IMAGE_TOKEN,
            video_token_index=VIDEO_TOKEN,
            vision_feature_layer=-1,
            vision_feature_select_strategy="full",
            attn_implementation=attention,
        )
        model = LlavaVideoForConditionalGeneration(config)
        inner = model.model
        keep_tokens_apart(
            inner.vision_tower.embeddings.patch_embedding.weight,
            inner.multi_modal_projector.linear_2.weight,
            inner.language_model.layers,
        )
        return model

    @classmethod
    def empty_model(cls, architecture: Mapping[str, Any]) -> Any:
        """Build a model without weights, on torch's meta device."""
        with torch.device("meta"):
            return LlavaVideoForConditionalGeneration(LlavaVideoConfig(**architecture))

    @classmethod
    def load_model(cls, location: str, dtype: torch.dtype, attention: str, is_offline: bool) -> Any:
        """Load a converted checkpoint by folder or Hub name."""
        return LlavaVideoForConditionalGeneration.from_pretrained(
            location, dtype=dtype, attn_implementation=attention, local_files_only=is_offline
        )

    def layouts(
        self, model: Any, inputs: Mapping[str, Any], sample_ids: Sequence[str] | None = None
    ) -> tuple[SampleLayout, ...]:
        """Return the layout of every row of a batch; see `ModelAdapter.layouts`."""
        rows_per_frame = self._rows(model)
        per_frame = rows_per_frame * (rows_per_frame + 1)
        layouts = []
        for row in prompt_rows(inputs, (model.config.video_token_id,), sample_ids):
            run = row.only_run()
            if run is None:
                layouts.append(SampleLayout(row.name, len(row.token_ids), 0, 0, None))
                continue
            if run.tokens % per_frame:
                raise UnsupportedError(
                    f"{row.name}: {run.tokens} video placeholders do not make one video of whole frames; "
                    f"expected a multiple of {rows_per_frame} x {rows_per_frame + 1} = {per_frame}"
                )
            grid = TokenGrid(
                frames=run.tokens // per_frame,
                rows=rows_per_frame,
                columns=rows_per_frame + 1,
                frame_stride=per_frame,
                row_stride=rows_per_frame + 1,
                column_stride=1,
            )
            layouts.append(SampleLayout(row.name, len(row.token_ids), run.start, run.tokens, grid))
        return tuple(layouts)

    def visual_map(self, model: Any, layout: SampleLayout) -> VisualMap:
        """Return frames pooled as the model pools them, with a newline after each row."""
        return pooled_map(layout, model.model.apply_pooling, self._rows(model), has_newlines=True)

    def prompt_text(self, question: str) -> tuple[str, str]:
        """Return the Qwen chat template around the visual tokens."""
        before = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        return before, f"\n{question}<|im_end|>\n<|im_start|>assistant\n"

    def visual_inputs(self, model: Any, frames: Sequence[Any], is_video: bool) -> VisualPart:
        """Turn frames into pixels and placeholders; see `ModelAdapter.visual_inputs`."""
        self.require(is_video)
        size = model.config.vision_config.image_size
        pixels = video_pixels(frames, size).to(model.dtype)
        rows = self._rows(model)
        placeholders = Placeholders(model.config.video_token_id, len(frames) * rows * (rows + 1))
        covered = 2 * rows * model.config.vision_config.patch_size  # pooling leaves out an odd last patch

        def cells() -> VisualCells:
            box = (0, 0, covered, covered)
            shown = tuple(resized(frame, (size, size)) for frame in frames)
            grids = [grid_cells(index, (size, size), rows, rows, True, box) for index in range(len(frames))]
            return VisualCells(shown, frame_labels(len(frames), is_video), concatenated(grids))

        return VisualPart((placeholders,), {"pixel_values_videos": pixels}, cells)

    def _rows(self, model: Any) -> int:
        vision = model.config.vision_config
        return int(vision.image_size // vision.patch_size // 2)
