"""Which m-tile of a GEMM a token falls into (Focus, HPCA 2026, sec. VI; rule of the published artifact)."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["tile_of_tokens", "tile_spans"]


def tile_of_tokens(is_zero_token: Tensor, m_tile: int) -> Tensor:
    """Return the tile of each token: every tile holds ``m_tile`` tokens that are not zero.

    With c the number of non-zero tokens up to and including a token, its tile is floor(max(c - 1, 0) / m).
    Pruned tokens count as zero, so they may be left out. Zero tokens before the first live one join tile 0,
    others join the tile of the live token before them.

    Args:
        is_zero_token: (tokens,) bool, in order of position.
        m_tile: Live tokens per tile; 0 or less means one tile.

    Returns:
        (tokens,) int32.
    """
    if m_tile <= 0:
        return torch.zeros(len(is_zero_token), dtype=torch.int32, device=is_zero_token.device)
    live = (~is_zero_token).cumsum(0)
    return ((live - 1).clamp_min(0) // m_tile).to(torch.int32)


def tile_spans(tile: Tensor) -> Tensor:
    """Return the (start, end) pairs of runs of equal tiles.

    Args:
        tile: (tokens,) non-decreasing.

    Returns:
        (tiles, 2) int64.
    """
    lengths = torch.unique_consecutive(tile, return_counts=True)[1]
    ends = lengths.cumsum(0)
    return torch.stack((ends - lengths, ends), 1)
