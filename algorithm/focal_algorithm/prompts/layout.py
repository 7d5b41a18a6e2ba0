"""Where the visual tokens of one prompt lie: all a method knows of its model; and rows as adapters see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from focal_common.errors import UnsupportedError
from focal_traces.header.schema import TokenGrid


@dataclass(frozen=True, slots=True)
class SampleLayout:
    """Token layout of one prompt without its padding (Focus, HPCA 2026, sec. V).

    Attributes:
        sample_id: Name of the document or file.
        sequence_tokens: L, text and visual tokens of the prompt.
        visual_start: a, index of the first visual token.
        visual_tokens: S, length of the visual range; 0 for a prompt without image or video.
        image_size_pixels: Height and width of the picture, where the layout of an image of any resolution
            follows from them; None otherwise.
        grid: Frames, rows, columns and strides of the visual range; None if it is empty, or of several pictures.
        pictures: Of a prompt with several images or videos the layout of each, with a visual range and a grid of its
            own; empty otherwise. ``visual_tokens`` is then their sum.
        query_start: Index of the first token after all pictures, where that is not the end of this visual range.
        frame_starts: Place in the visual range of the first token of each frame of a video, where text lies between
            them; empty where the strides of the grid say it.
        separator_columns: Last columns of the grid that hold no patch but a mark that ends the row.
        is_tiled: Whether the frames of the grid are tiles and an overview of one image, not moments of a video.
        visual_before: Of one of several pictures, visual tokens of those before it.
        visual_in_all: Of one of several pictures, visual tokens of them all; 0 where it is the only one.
    """

    sample_id: str
    sequence_tokens: int
    visual_start: int
    visual_tokens: int
    grid: TokenGrid | None
    image_size_pixels: tuple[int, int] | None = None
    pictures: tuple[SampleLayout, ...] = ()
    query_start: int | None = None
    frame_starts: tuple[int, ...] = ()
    separator_columns: int = 0
    is_tiled: bool = False
    visual_before: int = 0
    visual_in_all: int = 0

    @property
    def visual_stop(self) -> int:
        """Index after the last visual token."""
        return self.pictures[-1].visual_stop if self.pictures else self.visual_start + self.visual_tokens

    @property
    def query_tokens(self) -> int:
        """T, tokens after all pictures."""
        return self.sequence_tokens - (self.visual_stop if self.query_start is None else self.query_start)

    def share_of(self, tokens: int) -> int:
        """Return this picture's part of a number of tokens for the whole prompt, in proportion; the parts sum to it."""
        if not self.visual_in_all:
            return tokens
        stop = self.visual_before + self.visual_tokens
        return tokens * stop // self.visual_in_all - tokens * self.visual_before // self.visual_in_all

    @property
    def parts(self) -> tuple[SampleLayout, ...]:
        """What methods are shown one by one: each image or video as if the others were text."""
        return self.pictures or ((self,) if self.visual_tokens else ())


def joined_layout(pictures: Sequence[SampleLayout]) -> SampleLayout:
    """Return the layout of a prompt from those of its images and videos, of which there is at least one."""
    if len(pictures) == 1:
        return pictures[0]
    first, last = pictures[0], pictures[-1]
    sizes = [picture.visual_tokens for picture in pictures]
    visual_tokens = sum(sizes)
    parts = tuple(
        replace(
            picture,
            query_start=last.visual_stop,
            visual_before=sum(sizes[:number]),
            visual_in_all=visual_tokens,
        )
        for number, picture in enumerate(pictures)
    )
    return SampleLayout(
        first.sample_id, first.sequence_tokens, first.visual_start, visual_tokens, None, pictures=parts
    )


def token_grid(frames: int, rows: int, columns: int, frame_stride: int | None = None) -> TokenGrid:
    """Return a grid of tokens row by row, frame after frame where ``frame_stride`` does not say otherwise."""
    return TokenGrid(
        frames=frames,
        rows=rows,
        columns=columns,
        frame_stride=rows * columns if frame_stride is None else frame_stride,
        row_stride=columns,
        column_stride=1,
    )


def is_pyramid(grid: TokenGrid) -> bool:
    """Return whether the visual tokens are an overview followed by one large grid, not frames.

    Anyres images of LLaVA-OneVision are described so (Focus artifact): the side of the overview is their frame
    stride, which is then shorter than a frame.
    """
    return grid.frame_stride < grid.rows * grid.columns


def starts_of_frames(layout: SampleLayout) -> Tensor:
    """Return the place in the visual range of the first token of each frame of a grid, axes (frames), int64."""
    grid = layout.grid
    if grid is None:
        raise UnsupportedError(f"{layout.sample_id}: visual tokens without a grid have no frames")
    return torch.tensor(layout.frame_starts or [frame * grid.frame_stride for frame in range(grid.frames)])


def has_gaps(layout: SampleLayout) -> bool:
    """Return whether other tokens lie between the frames of a prompt, so that frames are not equal parts of it.

    A nominal grid, larger than the visual range (MiniCPM-V, as published), says nothing about gaps.
    """
    grid = layout.grid
    if grid is None or grid.frames < 2 or is_pyramid(grid):
        return False
    last = (grid.rows - 1) * grid.row_stride + (grid.columns - 1) * grid.column_stride
    is_nominal = (grid.frames - 1) * grid.frame_stride + last >= layout.visual_tokens
    return not is_nominal and grid.frames * grid.frame_stride != layout.visual_tokens


@dataclass(frozen=True)
class Run:
    """A maximal run of one placeholder.

    Attributes:
        token_id: The placeholder.
        start: Index of its first token in the prompt.
        tokens: Its length.
    """

    token_id: int
    start: int
    tokens: int


@dataclass(frozen=True)
class PromptRow:
    """One row of a batch.

    Attributes:
        name: Sample id.
        index: Row of the batch.
        token_ids: Without padding, axes (tokens).
        is_real: False for padding, axes (padded tokens).
        runs: Runs of placeholders in order; in the row of one picture, only its own.
        picture: Number of its picture among those of a kind in the batch.
    """

    name: str
    index: int
    token_ids: Tensor
    is_real: Tensor
    runs: tuple[Run, ...]
    picture: int = 0

    def only_run(self) -> Run:
        """Return the one run of placeholders of a row that has any.

        Raises:
            UnsupportedError: There are several.
        """
        if len(self.runs) > 1:
            raise UnsupportedError(
                f"{self.name}: {len(self.runs)} runs of placeholders make no picture of their own; expected one run"
            )
        return self.runs[0]


def prompt_rows(
    inputs: Mapping[str, Any], placeholders: Sequence[int], sample_ids: Sequence[str] | None
) -> list[PromptRow]:
    """Read the rows of a batch.

    Args:
        inputs: Keyword arguments of the forward: ``input_ids``, axes (batch, tokens), and perhaps
            ``attention_mask`` of the same axes.
        placeholders: Ids that stand for visual tokens.
        sample_ids: Names of the rows; numbered if None.
    """
    token_ids, mask = inputs["input_ids"], inputs.get("attention_mask")
    rows = []
    for index in range(token_ids.shape[0]):
        is_real = torch.ones_like(token_ids[index], dtype=torch.bool) if mask is None else mask[index].bool()
        own = token_ids[index][is_real]
        name = str(index) if sample_ids is None else sample_ids[index]
        rows.append(PromptRow(name, index, own, is_real, _runs(own, placeholders)))
    return rows


def cut_run(runs: Sequence[Run], tokens: int) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
    """Split runs after the first ``tokens`` of the first one, or after all of it if it holds no more."""
    first, *rest = runs
    if first.tokens <= tokens:
        return (first,), tuple(rest)
    remainder = Run(first.token_id, first.start + tokens, first.tokens - tokens)
    return (Run(first.token_id, first.start, tokens),), (remainder, *rest)


def _runs(token_ids: Tensor, placeholders: Sequence[int]) -> tuple[Run, ...]:
    runs: list[Run] = []
    values, lengths = torch.unique_consecutive(token_ids, return_counts=True)
    start = 0
    for value, length in zip(values.tolist(), lengths.tolist(), strict=True):
        if value in placeholders:
            runs.append(Run(value, start, length))
        start += length
    return tuple(runs)
