"""Qwen2.5-VL as transformers ships it: one image or one video of any resolution, with three position axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from focal_algorithm.models.architectures.qwen_grids import GridReader, merged_grid, patch_inputs
from focal_algorithm.models.architectures.random_weights import (
    BYTE_TEXT,
    IMAGE_TOKEN,
    VIDEO_TOKEN,
    keep_tokens_apart,
    size_of,
)
from focal_algorithm.models.base import ModelAdapter, Placeholders, VisualPart
from focal_algorithm.prompts.cells import CellMaker, VisualCells, concatenated, grid_cells
from focal_algorithm.prompts.layout import SampleLayout
from focal_algorithm.prompts.media.pixel_scales import CLIP_DEVIATION, CLIP_MEAN
from focal_algorithm.prompts.media.preprocess import resized
from focal_algorithm.prompts.media.qwen_patches import pictures_of_patches
from focal_algorithm.prompts.media.tokens import ByteTokenizer, Tokenizer
from focal_algorithm.prompts.rows import prompt_rows

__all__ = ["Qwen25Vl"]

_SIZES: dict[str, dict[str, Any]] = {
    # 28 layers and windowed attention as Qwen2.5-VL-7B; widths are chosen for two CPU cores.
    "small": {
        "vision_config": {
            "depth": 4,
            "hidden_size": 128,
            "intermediate_size": 256,
            "num_heads": 4,
            "out_hidden_size": 256,
            "fullatt_block_indexes": [1, 3],
        },
        "text_config": {
            "hidden_size": 256,
            "intermediate_size": 704,
            "num_hidden_layers": 28,
            "num_attention_heads": 8,
            "num_key_value_heads": 2,
        },
        "mrope_section": [4, 6, 6],
        "pixels": [4 * 28 * 28, 196 * 28 * 28],
    },
    "tiny": {
        "vision_config": {
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 64,
            "fullatt_block_indexes": [1],
        },
        "text_config": {
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
        },
        "mrope_section": [2, 3, 3],
        "pixels": [4 * 28 * 28, 16 * 28 * 28],
    },
}


class Qwen25Vl(ModelAdapter):
    """Layout of `Qwen2_5_VLForConditionalGeneration` (arXiv 2502.13923).

    Four patches make a token: an image gives (rows / 2) x (columns / 2) tokens, a video that many per pair of frames,
    row by row. The marks around them are text.

    Deviations:
        The published artifact takes images only; a video has the same layout with more frames. Frames are
        taken to be one second apart.
    """

    family: ClassVar[str] = "qwen2_5_vl"
    model_types: ClassVar[tuple[str, ...]] = ("qwen2_5_vl",)
    pixel_mean: ClassVar[tuple[float, float, float]] = CLIP_MEAN
    pixel_deviation: ClassVar[tuple[float, float, float]] = CLIP_DEVIATION
    image_pixels: ClassVar[tuple[int, int]] = (256 * 28 * 28, 1605632)
    """Smallest and largest area of an image. Source: published scripts of Focus, HPCA 2026."""
    video_pixels: ClassVar[tuple[int, int]] = (128 * 28 * 28, 768 * 28 * 28)
    """Likewise of a frame. Source: qwen-vl-utils 0.0.10."""

    @classmethod
    def random_model(cls, size: str, attention: str) -> Any:
        """Build a model with random weights; a size of ``small`` or ``tiny``."""
        shape = size_of(cls.family, size, _SIZES)
        rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": shape["mrope_section"]}
        config = Qwen2_5_VLConfig(
            vision_config=shape["vision_config"],
            text_config={**BYTE_TEXT, **shape["text_config"], "rope_parameters": rope},
            image_token_id=IMAGE_TOKEN,
            video_token_id=VIDEO_TOKEN,
            focal_pixels=shape["pixels"],
            attn_implementation=attention,
        )
        model = Qwen2_5_VLForConditionalGeneration(config)
        visual = model.model.visual
        keep_tokens_apart(
            visual.patch_embed.proj.weight, visual.merger.mlp[2].weight, model.model.language_model.layers
        )
        return model

    @classmethod
    def load_model(cls, location: str, dtype: torch.dtype, attention: str, is_offline: bool) -> Any:
        """Load a checkpoint by folder or Hub name."""
        return Qwen2_5_VLForConditionalGeneration.from_pretrained(
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
            run = row.only_run()
            if run is None:
                layouts.append(SampleLayout(row.name, len(row.token_ids), 0, 0, None))
                continue
            grid = reader.grid(row, run)
            layouts.append(SampleLayout(row.name, len(row.token_ids), run.start, run.tokens, grid))
        return tuple(layouts)

    def prompt_text(self, question: str) -> tuple[str, str]:
        """Return the Qwen chat template around the visual tokens."""
        before = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        after = f"{question}<|im_end|>\n<|im_start|>assistant\n"
        return f"{before}<|vision_start|>", f"<|vision_end|>{after}"

    def visual_inputs(self, model: Any, frames: Sequence[Any], is_video: bool) -> VisualPart:
        """Turn frames or one image into patches and placeholders; see `ModelAdapter.visual_inputs`."""
        config = model.config
        bounds = self.video_pixels if is_video else self.image_pixels
        patches, grid = patch_inputs(model, frames, bounds, self.pixel_mean, self.pixel_deviation)
        tokens = merged_grid(grid, config.vision_config.spatial_merge_size)
        count = tokens[0] * tokens[1] * tokens[2]
        cells = self.cell_maker(model, frames, grid, is_video)
        if not is_video:
            inputs = {"pixel_values": patches, "image_grid_thw": torch.tensor([grid])}
            return VisualPart((Placeholders(config.image_token_id, count),), inputs, cells)
        inputs = {"pixel_values_videos": patches, "video_grid_thw": torch.tensor([grid])}
        inputs["second_per_grid_ts"] = torch.tensor([float(config.vision_config.temporal_patch_size)])
        return VisualPart((Placeholders(config.video_token_id, count),), inputs, cells)

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
            mean=self.pixel_mean,
            deviation=self.pixel_deviation,
        )
        return self.cell_maker(model, frames, (groups, rows, columns), is_video)()

    def sequence_inputs(self, model: Any, token_ids: Tensor) -> dict[str, Tensor]:
        """Return which tokens are text (0), image (1) and video (2), from which positions follow."""
        is_image, is_video = (
            token_ids == model.config.image_token_id,
            token_ids == model.config.video_token_id,
        )
        return {"mm_token_type_ids": is_image.int() + 2 * is_video.int()}

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
