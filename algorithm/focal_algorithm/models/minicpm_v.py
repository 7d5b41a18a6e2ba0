"""MiniCPM-V 2.6, whose checkpoint brings its own code: one video, or one image, between marks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from itertools import pairwise
from typing import Any, ClassVar

import torch

from focal_algorithm.models.architectures.minicpm_v import (
    MiniCpmVForConditionalGeneration,
    VisualMarks,
    mark_tokenizer,
)
from focal_algorithm.models.base import ModelAdapter, Placeholders, VisualPart, VisualRange
from focal_algorithm.prompts.cells import VisualCells, concatenated, grid_cells
from focal_algorithm.prompts.layout import PromptRow, Run, token_grid
from focal_algorithm.prompts.media.minicpm_slices import patch_strip, sliced
from focal_algorithm.prompts.media.tokens import Tokenizer
from focal_algorithm.prompts.vision import VisionPoints
from focal_common.errors import UnsupportedError

_QUERY_NOTE = (
    "each token gathers its whole picture by a learned query: its cell is its place in the grid that methods "
    "assume, not a place in the picture"
)

_IMAGE_SLICES, _VIDEO_SLICES = 9, 2  # published settings for images and for frames of videos


class MiniCpmV(ModelAdapter):
    """Layout of MiniCPM-V 2.6 (arXiv 2408.01800).

    A frame gives an overview of 8 x 8 tokens between marks, for large frames two slices likewise, and a newline: 67 or
    199 tokens. The visual range reaches from the first mark to the last newline; marks inside it count as visual
    tokens. Rows and columns are 8 and the frame stride is 199 whatever the frames look like, as published.

    Deviations:
        The published artifact takes videos only; an image is laid out as a video of one frame. The checkpoint's
        own code runs through `MiniCpmVForConditionalGeneration`; it was written against its documented
        interface and never run on the real weights here.
    """

    family: ClassVar[str] = "minicpm_v"
    model_class: ClassVar[Any] = MiniCpmVForConditionalGeneration

    @classmethod
    def random_tokenizer(cls) -> Tokenizer:
        """Return bytes with one token per mark."""
        return mark_tokenizer()

    def vision_points(self, model: Any) -> VisionPoints:
        """Refuse: learned queries gather the patches, so no visual token belongs to a patch."""
        raise UnsupportedError(
            "minicpm_v gathers the patches of a picture by learned queries, so methods that select patches in the "
            "vision tower do not work with it"
        )

    def first_picture(
        self, model: Any, inputs: Mapping[str, Any], row: PromptRow
    ) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
        """Take pictures for one as long as nothing but marks lies between them; see `ModelAdapter.first_picture`."""
        marks = torch.tensor(astuple(model.marks), device=row.token_ids.device)
        for number, (before, after) in enumerate(pairwise(row.runs), 1):
            between = row.token_ids[before.start + before.tokens : after.start]
            if not bool(torch.isin(between, marks).all()):
                return row.runs[:number], row.runs[number:]
        return row.runs, ()

    def visual_range(self, model: Any, inputs: Mapping[str, Any], row: PromptRow) -> VisualRange:
        """Return pictures with their marks; see `ModelAdapter.visual_range`."""
        queries = model.config.query_num
        start, tokens = self._range(row, model.marks, queries)
        side = math.isqrt(queries)
        frames = self._frames(row, model.marks, start, tokens)
        return VisualRange(start, tokens, token_grid(frames, side, side, frame_stride=3 * (queries + 2) + 1))

    def prompt_text(self, question: str) -> tuple[str, str]:
        """Return the Qwen chat template around the visual tokens."""
        before = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        return before, f"{question}<|im_end|>\n<|im_start|>assistant\n"

    def visual_inputs(self, model: Any, frames: Sequence[Any], is_video: bool) -> VisualPart:
        """Turn frames or one image into patches, marks and placeholders; see `ModelAdapter.visual_inputs`."""
        settings, patch = _slice_settings(model.config)
        image = Placeholders(model.marks.placeholder, model.config.query_num)
        pieces: list[str | Placeholders] = []
        pictures, labels = [], []
        for number, frame in enumerate(frames):
            overview, lines = sliced(frame, settings, patch, _VIDEO_SLICES if is_video else _IMAGE_SLICES)
            pieces += ["<image>", image, "</image>"]
            pictures.append(overview)
            labels.append(f"frame {number}" if is_video else "image")
            name = labels[-1]
            for place, line in enumerate(lines):
                pieces += ["\n"] * bool(place)
                pieces += ["<slice>", image, "</slice>"] * len(line)
                pictures += line
                labels += [f"{name}, slice {place + 1}.{column + 1}" for column in range(len(line))]
            pieces.append("\n")
        strips = [patch_strip(picture, patch) for picture in pictures]
        longest = max(strip.shape[2] for strip, _ in strips)
        pixels = [torch.nn.functional.pad(strip, (0, longest - strip.shape[2])) for strip, _ in strips]
        inputs = {
            "pixel_values": torch.stack(pixels).to(model.dtype),
            "tgt_sizes": torch.tensor([size for _, size in strips]),
        }
        side = math.isqrt(model.config.query_num)

        def cells() -> VisualCells:
            grids = [grid_cells(index, one.size, side, side) for index, one in enumerate(pictures)]
            return VisualCells(tuple(pictures), tuple(labels), concatenated(grids), _QUERY_NOTE)

        return VisualPart(tuple(pieces), inputs, cells)

    def sample_pixels(self, model: Any) -> int:
        """Return the side of an overview."""
        return _slice_settings(model.config)[0]

    def _range(self, row: PromptRow, marks: VisualMarks, queries: int) -> tuple[int, int]:
        wrong = [run.tokens for run in row.runs if run.tokens != queries]
        if wrong:
            raise UnsupportedError(
                f"{row.name}: {wrong[0]} placeholders in a row; expected {queries} per picture or slice"
            )
        start = row.runs[0].start - 1
        stop = row.runs[-1].start + queries + 2
        ends = row.token_ids[stop - 2 : stop].tolist()
        closing = ([marks.image_end, marks.newline], [marks.slice_end, marks.newline])
        if start < 0 or int(row.token_ids[start]) != marks.image_start or ends not in closing:
            raise UnsupportedError(
                f"{row.name}: the visual tokens lack their marks; expected <image> before them, and </image> or "
                "</slice> and a newline after them"
            )
        known = (*closing[0], *closing[1], marks.image_start, marks.slice_start, marks.placeholder)
        inside = torch.isin(row.token_ids[start:stop], torch.tensor(known, device=row.token_ids.device))
        if not bool(inside.all()):
            raise UnsupportedError(f"{row.name}: text lies between the pictures; expected one image or video")
        return start, stop - start

    def _frames(self, row: PromptRow, marks: VisualMarks, start: int, tokens: int) -> int:
        own = row.token_ids[start : start + tokens]
        begins = (own == marks.image_start).nonzero().flatten()
        frames = len(begins)
        if tokens % frames or bool(
            (begins != torch.arange(frames, device=own.device) * (tokens // frames)).any()
        ):
            raise UnsupportedError(
                f"{row.name}: {frames} frames in {tokens} tokens; expected frames of equally many tokens"
            )
        return frames


def _slice_settings(config: Any) -> tuple[int, int]:
    """Return the side of an overview and of a patch in pixels."""
    settings = config.slice_config
    values = settings if isinstance(settings, Mapping) else vars(settings)
    return int(values["scale_resolution"]), int(values["patch_size"])
