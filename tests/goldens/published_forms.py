"""Forms in which goldens and oracles hold results, and which the product has no use for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from focal_algorithm.kernels.similarity import Concentration
from focal_common.errors import RunError


@dataclass(frozen=True, slots=True)
class FullMasks:
    """Masks over all visual tokens; axes (visual tokens, slices).

    Attributes:
        is_zero: bool; true for pruned tokens.
        is_similar: bool.
        group_index: int32, flat index (token x slices + slice) of the group root; the own index if alone.
    """

    is_zero: Tensor
    is_similar: Tensor
    group_index: Tensor

    @property
    def sparsity(self) -> float:
        """Share of vectors that need no computation: (similar + zero) / all."""
        return (int(self.is_zero.sum()) + int(self.is_similar.sum())) / self.is_zero.numel()


def expand(concentration: Concentration, positions: Tensor, visual_tokens: int) -> FullMasks:
    """Spread the masks of the retained rows over all visual tokens, as the published trace stores them.

    Args:
        concentration: Of the retained rows.
        positions: (rows,) int64 visual indices of those rows.
        visual_tokens: S.
    """
    slices = concentration.is_zero.shape[1]
    device = positions.device
    is_zero = torch.ones(visual_tokens, slices, dtype=torch.bool, device=device)
    is_similar = torch.zeros_like(is_zero)
    root = torch.arange(visual_tokens, dtype=torch.int32, device=device)[:, None].repeat(1, slices)
    is_zero[positions] = concentration.is_zero
    is_similar[positions] = concentration.is_similar
    root[positions] = concentration.representative
    slot = torch.arange(slices, dtype=torch.int32, device=device)
    return FullMasks(is_zero, is_similar, root * slices + slot)


def retained_after(retained: Tensor, kept: Tensor, *, visual_start: int, query_tokens: int) -> Tensor:
    """Return the sequence positions that remain: all text, and the kept ones of the visual middle.

    Args:
        retained: (n,) int64 original positions of the current sequence.
        kept: Local indices into its visual part, increasing.
        visual_start: a, index of the first visual token.
        query_tokens: T, tokens after the visual range.

    Returns:
        (a + kept + T,) int64, increasing.
    """
    end = len(retained) - query_tokens
    middle = retained[visual_start:end].index_select(0, kept)
    return torch.cat((retained[:visual_start], middle, retained[end:]))


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


def cross_score(cross: Tensor, prefix_tokens: int, token_axis: int = -1) -> Tensor:
    """Return the mean of a cross-attention map over every axis but that of the visual tokens.

    Args:
        cross: For example axes (heads, text tokens, visual tokens).
        prefix_tokens: CLS tokens to leave out.
        token_axis: Axis of the visual tokens.
    """
    moved = cross.to(torch.float32).movedim(token_axis, -1)
    return moved.reshape(-1, moved.shape[-1]).mean(dim=0)[prefix_tokens:]


class RecordedDraws:
    """Draws recorded elsewhere, in order; raises `RunError` when they run out."""

    def __init__(self, indices: Iterable[int]) -> None:
        self._left = iter(indices)

    def uniform(self, count: int) -> int:
        """Return the next index."""
        return self._next()

    def proportional(self, weights: Tensor) -> int:
        """Return the next index."""
        return self._next()

    def _next(self) -> int:
        index = next(self._left, None)
        if index is None:
            raise RunError("k-means asked for more random draws than were recorded")
        return int(index)
