"""Where the visual tokens of one prompt lie: the only thing a method knows about its model.

Holds no tensor and no module.
"""

from __future__ import annotations

from dataclasses import dataclass

from focal_traces.header.schema import TokenGrid

__all__ = ["SampleLayout", "has_gaps", "is_pyramid", "token_grid"]


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
        grid: Frames, rows, columns and strides of the visual range; None if it is empty.
    """

    sample_id: str
    sequence_tokens: int
    visual_start: int
    visual_tokens: int
    grid: TokenGrid | None
    image_size_pixels: tuple[int, int] | None = None

    @property
    def visual_stop(self) -> int:
        """Index after the last visual token."""
        return self.visual_start + self.visual_tokens

    @property
    def query_tokens(self) -> int:
        """T, tokens after the visual range."""
        return self.sequence_tokens - self.visual_stop


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
