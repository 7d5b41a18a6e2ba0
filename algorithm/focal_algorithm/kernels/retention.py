"""Which visual tokens semantic concentration keeps (SEC; Focus, HPCA 2026, sec. V)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["retained_after", "select_top", "shared_counts", "tokens_to_keep"]


def tokens_to_keep(visual_tokens: int, alpha: float, available: int) -> int:
    """Return how many visual tokens survive: floor(S x alpha), at least 1, at most those present.

    Args:
        visual_tokens: S of the prompt before any pruning; the published ratio is relative to it.
        alpha: Ratio in (0, 1].
        available: Visual tokens still present.
    """
    # Double precision and truncation as published: 11648 * 0.15 gives 1747, 100 * 0.29 gives 28.
    count = int(visual_tokens * alpha)
    return min(max(min(count, visual_tokens), 1), available)


def select_top(importance: Tensor, count: int) -> Tensor:
    """Return the indices of the ``count`` largest importances, in increasing order.

    Among equal importances the lower index is kept; the published kernel leaves ties open.

    Args:
        importance: (tokens,).
        count: At most the number of tokens.

    Returns:
        (count,) int64.
    """
    return importance.sort(descending=True, stable=True)[1][:count].sort()[0]


def shared_counts(count: int, sizes: Sequence[int]) -> list[int]:
    """Return how many of ``count`` tokens each part of a prompt keeps, in proportion to its size.

    The largest remainders are rounded up until the sum is exact; among equal ones the earlier part wins.

    Args:
        count: From 0 to the sum of ``sizes``.
        sizes: Tokens of each part.
    """
    total = max(1, sum(sizes))
    counts = [count * size // total for size in sizes]
    by_remainder = sorted(range(len(sizes)), key=lambda part: -(count * sizes[part] % total))
    for part in by_remainder[: count - sum(counts)]:
        counts[part] += 1
    return counts


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
