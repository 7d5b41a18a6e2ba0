"""Choosing by value with ties that always fall the same way, the lowest index winning, and how many are chosen."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = [
    "first_argmax",
    "first_argmin",
    "one_hot_rows",
    "select_top",
    "shared_counts",
    "tokens_to_keep",
    "top_indices",
]


def first_argmax(values: Tensor) -> Tensor:
    """Return the first index of the largest entry along the last axis, int64.

    `torch.argmax` may return any of several equal maxima, and does so differently on different devices.
    """
    width = values.shape[-1]
    index = torch.arange(width, device=values.device)
    is_best = values == values.amax(dim=-1, keepdim=True)
    return torch.where(is_best, index, width).amin(dim=-1).clamp(max=width - 1)


def first_argmin(values: Tensor) -> Tensor:
    """Return the first index of the smallest entry along the last axis, int64."""
    return first_argmax(-values)


def top_indices(values: Tensor, count: int) -> Tensor:
    """Return the indices of the ``count`` largest entries of a vector, in descending order of value."""
    return values.sort(descending=True, stable=True).indices[:count]


def one_hot_rows(assignment: Tensor, rows: int) -> Tensor:
    """Return a float32 matrix, axes (rows, tokens), with 1 where a token is assigned to a row.

    Sums as products with this matrix repeat exactly, which scattered additions on a GPU do not.
    """
    return (assignment[None, :] == torch.arange(rows, device=assignment.device)[:, None]).to(torch.float32)


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
