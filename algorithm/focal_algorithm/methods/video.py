"""What methods for videos share: where the tokens of each frame are, and the sequence of what is left of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from focal_algorithm.kernels.frames import MergedVideo
from focal_algorithm.methods.base import Resequenced, TokenStream
from focal_algorithm.prompts.layout import SampleLayout, is_pyramid
from focal_common.errors import UnsupportedError


@dataclass(frozen=True)
class VideoFrames:
    """Frames of a video of which every token is present, as before layer 0.

    Tokens of its frames are counted frame by frame, without separators and text between them.

    Attributes:
        frames: F, at least 2.
        rows: Of a frame.
        columns: Of a frame, without separators.
        cells: Place in the visual range of each token, axes (F, rows x columns), int64.
        separators: Of the marks that end rows, axes (F, rows, marks of a row), int64.
    """

    frames: int
    rows: int
    columns: int
    cells: Tensor
    separators: Tensor

    @classmethod
    def of(cls, layout: SampleLayout, method: str, device: torch.device | None = None) -> VideoFrames:
        """Find the frames of a prompt.

        Args:
            layout: Of the prompt.
            method: Who asks, for the error.
            device: Of the places.

        Raises:
            UnsupportedError: It shows no video of at least two frames, or other tokens lie among them at places that
                the family does not tell.
        """
        grid = layout.grid
        if grid is None or is_pyramid(grid) or grid.frames < 2 or layout.is_tiled:
            raise UnsupportedError(
                f"{layout.sample_id}: {method} compares the frames of a video, and this prompt shows one picture; "
                "expected a video of at least two frames"
            )
        starts = torch.tensor(layout.frame_starts, dtype=torch.int64, device=device)
        if not layout.frame_starts:
            starts = torch.arange(grid.frames, device=device) * grid.frame_stride
            is_regular = grid.frame_stride == grid.rows * grid.row_stride
            if not is_regular or grid.frames * grid.frame_stride != layout.visual_tokens:
                raise UnsupportedError(
                    f"{layout.sample_id}: {method} compares each token with the same place of another frame, but other "
                    "tokens lie among those of its frames; expected frames of rows and columns"
                )
        columns = grid.columns - layout.separator_columns
        inside = torch.arange(grid.rows, device=device)[:, None] * grid.row_stride
        inside = inside + torch.arange(grid.columns, device=device) * grid.column_stride
        places = starts[:, None, None] + inside
        return cls(grid.frames, grid.rows, columns, places[..., :columns].flatten(1), places[..., columns:])

    @property
    def tokens(self) -> int:
        """N, tokens of a frame."""
        return self.rows * self.columns

    def values(self, hidden: Tensor, stream: TokenStream) -> Tensor:
        """Return the residual stream of the frames, axes (F, N, hidden), from that of all tokens."""
        return hidden[stream.visual_rows][self.cells]

    def present(self, stream: TokenStream) -> Tensor:
        """Return the rows of the video's tokens and marks that are present, without text, axes (tokens), int64."""
        is_visual = torch.zeros(stream.layout.visual_tokens, dtype=torch.bool, device=self.cells.device)
        is_visual[self.cells.flatten()] = True
        is_visual[self.separators.flatten()] = True
        return stream.visual_rows[is_visual[stream.visual_positions]]

    def remaining(self, stream: TokenStream, kept: Tensor) -> Tensor:
        """Return the rows of all text and of some tokens of the frames: what `Resequenced.rows` takes.

        A mark that ends a row stays where a token of the row does. Text between frames stays between them.

        Args:
            stream: Tokens present.
            kept: Tokens of the frames, axes (kept), int64, in the order in which they are to follow each other inside
                a frame; where rows have marks they follow each other as in the frame.
        """
        place = torch.arange(len(stream.visual_rows), device=kept.device)
        is_text = torch.ones_like(place, dtype=torch.bool)
        is_text[self.cells.flatten()] = False
        is_text[self.separators.flatten()] = False
        is_used = torch.zeros(self.frames * self.rows, dtype=torch.bool, device=kept.device)
        is_used[kept // self.columns] = True
        marks = self.separators.flatten(0, 1)[is_used].flatten()
        others = torch.cat((is_text.nonzero().flatten(), marks))
        own = self.cells.flatten()[kept]
        # Where rows end with marks, order follows places; elsewhere a token's order is that given inside its frame.
        order = own if self.separators.numel() else self.cells[kept // self.tokens, 0]
        ranked = torch.cat((order, others)).sort(stable=True).indices
        visual = stream.visual_rows[torch.cat((own, others))[ranked]]
        first, stop = stream.visual_rows[0], stream.visual_rows[-1] + 1
        rows = torch.arange(len(stream.token_ids), device=kept.device)
        return torch.cat((rows[:first], visual, rows[stop:]))

    def merged(
        self, hidden: Tensor, stream: TokenStream, found: MergedVideo, *, renumbers: bool
    ) -> Resequenced | None:
        """Return the shorter sequence of a merged video; None where it is as before."""
        rows = self.remaining(stream, found.places)
        if len(rows) == len(hidden) and bool((rows.diff() == 1).all()) and bool((found.made_of < 0).all()):
            return None
        own = stream.visual_rows[self.cells.flatten()]
        new = hidden.index_copy(0, own[found.places], found.values)
        merged_into = torch.full((len(hidden),), -1, dtype=torch.int64, device=hidden.device)
        merged_into[rows] = rows
        merged_into[own] = own[found.merged_into.clamp(min=0)].masked_fill(found.merged_into < 0, -1)
        made_of = torch.full_like(merged_into, -1).index_copy(0, own, found.made_of)
        return Resequenced(rows, new[rows], merged_into, made_of, renumbers)
