"""Which earlier tokens a token is compared with, and in which rows of the retained tensor they lie."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from focal_common.errors import ConfigError
from focal_traces import TokenGrid

NO_WINNER = 255
"""Winner code of a vector that matches nothing; so a block has at most 255 places."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One place of the search block.

    Attributes:
        index: q, place in the published order (frames outermost, columns innermost); 0 is the token itself.
        frames: Frames back. rows: Rows back. columns: Columns back.
        offset_tokens: Distance in tokens, the sum of steps times strides.
    """

    index: int
    frames: int
    rows: int
    columns: int
    offset_tokens: int


@dataclass(frozen=True, slots=True)
class Matches:
    """What each vector matches; all tensors have axes (rows, slices).

    Attributes:
        winner: uint8, place q of the best candidate where similar, else 255.
        pointer: int32, row of that candidate where similar, else the row itself.
        best: fp32, largest similarity, at least 0.
    """

    winner: Tensor
    pointer: Tensor
    best: Tensor


def candidates_of(grid: TokenGrid, block: tuple[int, int, int]) -> tuple[Candidate, ...]:
    """Return the places of the block without the token itself, cut to the size of the grid.

    Args:
        grid: Layout of the visual tokens.
        block: (frames, rows, columns).

    Raises:
        ConfigError: A side of the block is below 1, or it holds more than 255 places.
    """
    if len(block) != 3 or min(block) < 1:
        raise ConfigError(f"block must be three sizes of at least 1 (frames, rows, columns), got {block}")
    frames = min(block[0], grid.frames)
    rows = min(block[1], grid.rows)
    columns = min(block[2], grid.columns)
    if frames * rows * columns > NO_WINNER:
        raise ConfigError(f"block {block} has over {NO_WINNER} places; choose a smaller block")
    places = [(f, i, k) for f in range(frames) for i in range(rows) for k in range(columns)]
    return tuple(
        Candidate(index, f, i, k, f * grid.frame_stride + i * grid.row_stride + k * grid.column_stride)
        for index, (f, i, k) in enumerate(places)
        if index
    )


def partner_rows(
    positions: Tensor,
    tile: Tensor | None,
    candidates: tuple[Candidate, ...],
    *,
    grid: TokenGrid,
    is_strict: bool,
) -> Tensor:
    """Return, for each candidate and row, the row that holds the candidate token.

    Offsets are in original coordinates, so a pruned candidate has no row. Compatible mode compares tokens by
    linear distance as the published artifact does: column 0 meets the last column of the row above. Strict
    mode demands that both tokens lie on the grid and that the candidate is in the same row and frame after
    stepping back.

    Args:
        positions: (rows,) int64, increasing visual indices.
        tile: (rows,) m-tile; partners share it. None for a single tile.
        candidates: From `candidates_of`.
        grid: Layout of the visual tokens.
        is_strict: Whether neighbours may not wrap around rows and frames.

    Returns:
        (candidates, rows) int64, -1 where there is none.

    Raises:
        ConfigError: Strict mode, and the strides let two places of the grid share a token.
    """
    rows = len(positions)
    partners = torch.full((len(candidates), rows), -1, dtype=torch.int64, device=positions.device)
    if not rows or not candidates:
        return partners
    row_of = torch.full((int(positions[-1]) + 1,), -1, dtype=torch.int64, device=positions.device)
    row_of[positions] = torch.arange(rows, device=positions.device)
    reach = _reach(positions, grid) if is_strict else None
    for place, candidate in enumerate(candidates):
        target = positions - candidate.offset_tokens
        found = torch.where(target >= 0, row_of[target.clamp_min(0)], -1)
        allowed = found >= 0
        if reach is not None:
            back = (candidate.frames, candidate.rows, candidate.columns)
            for axis, steps in enumerate(back):
                allowed &= reach[axis] >= steps
        partners[place] = torch.where(allowed, found, -1)
    return partners if tile is None else _within_tiles(partners, tile)


def _within_tiles(partners: Tensor, tile: Tensor) -> Tensor:
    """Return partners, axes (candidates, rows), without those of another m-tile, axes (rows)."""
    return partners.masked_fill(tile[partners.clamp_min(0)] != tile, -1)


@dataclass
class PartnerRows:
    """`partner_rows` of the last call, which most GEMM inputs of a prefill share but for their tiles."""

    _key: tuple[object, ...] = ()
    _rows: Tensor | None = None

    def knows(self, positions: Tensor) -> bool:
        """Return whether the last call was for these very positions."""
        return bool(self._key) and self._key[0] is positions

    def of(
        self,
        positions: Tensor,
        tile: Tensor | None,
        candidates: tuple[Candidate, ...],
        grid: TokenGrid,
        is_strict: bool,
    ) -> Tensor:
        """Return `partner_rows`; ``positions`` is told by identity and must not be changed in place."""
        key = (positions, candidates, grid, is_strict)
        if self._rows is None or not self.knows(positions) or key[1:] != self._key[1:]:
            self._rows = partner_rows(positions, None, candidates, grid=grid, is_strict=is_strict)
            self._key = key
        return self._rows if tile is None else _within_tiles(self._rows, tile)


def _reach(positions: Tensor, grid: TokenGrid) -> tuple[Tensor, Tensor, Tensor]:
    """Return how many frames, rows and columns lie before each token; -1 for tokens off the grid."""
    row_tokens, frame_tokens = grid.columns * grid.column_stride, grid.rows * grid.row_stride
    if (grid.rows > 1 and grid.row_stride < row_tokens) or (
        grid.frames > 1 and grid.frame_stride < frame_tokens
    ):
        raise ConfigError(
            f"strict mode needs a grid without overlap (row_stride >= {row_tokens}, frame_stride >= "
            f"{frame_tokens}), got row_stride {grid.row_stride}, frame_stride {grid.frame_stride}"
        )
    frame = positions // grid.frame_stride
    inside = positions % grid.frame_stride
    row = inside // grid.row_stride
    column = (inside % grid.row_stride) // grid.column_stride
    on_grid = (frame < grid.frames) & (row < grid.rows) & (column < grid.columns)
    on_grid &= (inside % grid.row_stride) % grid.column_stride == 0
    return tuple(torch.where(on_grid, axis, -1) for axis in (frame, row, column))  # type: ignore[return-value]
