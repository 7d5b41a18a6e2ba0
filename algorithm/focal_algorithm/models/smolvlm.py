"""SmolVLM2 as transformers ships it: tiles and an overview of an image, or frames of a video, with words between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import SmolVLMForConditionalGeneration
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

from focal_algorithm.models.base import ModelAdapter, Placeholders, VisualPart, VisualRange
from focal_algorithm.models.sizes import VIDEO_TOKEN
from focal_algorithm.prompts.cells import VisualCells, square_cells
from focal_algorithm.prompts.layout import PromptRow, Run, SampleLayout
from focal_algorithm.prompts.media.preprocess import picture_of
from focal_algorithm.prompts.media.tokens import ByteTokenizer, Tokenizer
from focal_algorithm.prompts.vision import VisualMap, shuffled_map

_TILES_A_SIDE = 4
"""Source: size of HuggingFaceTB/SmolVLM2-2.2B-Instruct preprocessor_config.json, 1536 pixels, over max_image_size, 384;
the same ratio, 2048 over 512, as of the 256M and 500M models."""

_FAKE, _OVERVIEW = "<fake_token_around_image>", "<global-img>"


class SmolVlm(ModelAdapter):
    """Layout of `SmolVLMForConditionalGeneration` (SmolVLM2, arXiv 2504.05299).

    The long side of an image is scaled to four tiles; tiles follow row by row, then an overview, each after a mark that
    says where it belongs. A frame of a video is an overview after its time in words. Each is a square grid of tokens,
    one per square of patches: 9 x 9 with the real tower. The visual range reaches from the first to the last visual
    token, so marks and times inside it are treated like visual tokens, as in Qwen3-VL.

    Deviations:
        The number of frames is written in digits, where the stock processor needs a further package to write it in
        words. Frames are taken to be one second apart, and resized as images are. The placeholder is the same for
        images and videos: overviews that follow each other are taken for a video, so images that a processor was told
        not to split are its frames.
    """

    family: ClassVar[str] = "smolvlm"
    model_class: ClassVar[Any] = SmolVLMForConditionalGeneration

    def first_picture(
        self, model: Any, inputs: Mapping[str, Any], row: PromptRow
    ) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
        """Take tiles up to their overview, or all overviews of a video; see `ModelAdapter.first_picture`."""
        marks = [int(row.token_ids[run.start - 1]) for run in row.runs]
        overview = marks[-1]  # an overview is the last of every image and video
        stop = marks.index(overview) + 1
        while stop in range(1, len(marks)) and {marks[0], marks[stop]} == {overview}:
            stop += 1
        return row.runs[:stop], row.runs[stop:]

    def visual_range(self, model: Any, inputs: Mapping[str, Any], row: PromptRow) -> VisualRange:
        """Return pictures of one size with words between them; see `ModelAdapter.visual_range`."""
        side, marks = self._side(model), {int(row.token_ids[run.start - 1]) for run in row.runs}
        return VisualRange.of_runs(row, side, side, is_tiled=len(marks) > 1)

    def visual_map(self, model: Any, layout: SampleLayout) -> VisualMap:
        """Return pictures whose squares of patches are one token each."""
        return shuffled_map(layout, self._side(model), model.config.scale_factor)

    def prompt_text(self, question: str) -> tuple[str, str]:
        """Return the chat template, which has no system prompt."""
        return "<|im_start|>User:", f"{question}<end_of_utterance>\nAssistant:"

    def visual_inputs(self, model: Any, frames: Sequence[Any], is_video: bool) -> VisualPart:
        """Turn frames or one image into tiles and placeholders; see `ModelAdapter.visual_inputs`."""
        side, placeholders = self.sample_pixels(model), self._side(model) ** 2
        process = SmolVLMImageProcessorPil(
            size={"longest_edge": _TILES_A_SIDE * side},
            max_image_size={"longest_edge": side},
            do_image_splitting=not is_video,
            return_row_col_info=True,
        )
        made = process([[one.convert("RGB") for one in frames]], return_tensors="pt")
        tokens = Placeholders(model.config.image_token_id, placeholders)
        overview = (f"{_FAKE}{_OVERVIEW}", tokens, _FAKE)
        pieces: list[str | Placeholders] = []
        if is_video:
            length = timedelta(seconds=len(frames) - 1)
            pieces.append(
                f" You are provided the following series of {len(frames)} frames from a {length} [H:MM:SS] video.\n"
            )
            for second in range(len(frames)):
                pieces += [f"\nFrame from {second // 60:02d}:{second % 60:02d}:", *overview]
            pieces.append("\n\n")
        else:
            rows, columns = made["rows"][0][0], made["cols"][0][0]
            for tile in range(rows * columns):
                at = f"{_FAKE}<row_{tile // columns + 1}_col_{tile % columns + 1}>"
                pieces += [at, tokens, *(["\n"] if (tile + 1) % columns == 0 else [])]
            pieces += ["\n", *overview]
        inputs = {name: made[name] for name in ("pixel_values", "pixel_attention_mask")}
        inputs["pixel_values"] = inputs["pixel_values"].to(model.dtype)
        cells = partial(self._cells, model, inputs["pixel_values"], is_video)
        return VisualPart(tuple(pieces), inputs, cells)

    def seen_cells(
        self, model: Any, pixels: Tensor, grid: Sequence[int] | None, layout: SampleLayout, is_video: bool
    ) -> VisualCells:
        """Take each tile or frame for the picture that it is; see `ModelAdapter.seen_cells`."""
        return self._cells(model, pixels, is_video=bool(layout.frame_starts) and not layout.is_tiled)

    @classmethod
    def random_tokenizer(cls) -> Tokenizer:
        """Return bytes with one token per mark."""
        places = [f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)]
        marks = (_FAKE, _OVERVIEW, *places)
        return ByteTokenizer({mark: VIDEO_TOKEN + 1 + number for number, mark in enumerate(marks)})

    def _cells(self, model: Any, pixels: Tensor, is_video: bool) -> VisualCells:
        shown = [picture_of(one, self.pixel_scale) for one in pixels.flatten(0, -4).to(torch.float32)]
        return square_cells(shown, self._side(model), is_video)

    def _side(self, model: Any) -> int:
        """Return the tokens along a side of a tile."""
        vision = model.config.vision_config
        return int(vision.image_size // vision.patch_size // model.config.scale_factor)
