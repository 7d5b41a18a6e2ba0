"""Choosing by value with ties that always fall the same way, the lowest index winning, and how many are chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from focal_algorithm.kernels.vectors import row_blocks


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


Distances = Callable[[Tensor], Tensor]
"""From row numbers, axes (rows), to their distances from all tokens, axes (rows, tokens)."""

_SAME = 1e-6
"""Distances of equal rows are off by up to 2e-7 in float32; noise must not order duplicates."""


def cosine_distances(values: Tensor, *, is_strict: bool) -> Distances:
    """Return the distances 1 - cosine of some rows at a time; the whole matrix is never held.

    Args:
        values: Axes (tokens, width).
        is_strict: Whether to compute in float32, where an all-zero row has distance 1 to everything and rows of one
            direction have distance 0. Otherwise norm, quotient, product and difference are each rounded to the dtype of
            ``values``, as published; products of half precision are summed in float32 and rounded once.
    """
    if is_strict:
        values = values.to(torch.float32)
    norms = values.norm(dim=-1, keepdim=True)
    unit = values / (norms.clamp(min=1e-12) if is_strict else norms)
    wide = unit.to(torch.float32)

    def distances(rows: Tensor) -> Tensor:
        found = 1 - (wide[rows] @ wide.T).to(values.dtype)
        return found.masked_fill_(found.abs() < _SAME, 0) if is_strict else found

    return distances


def farthest_points(
    distances: Distances, tokens: int, count: int, device: torch.device, *, is_strict: bool
) -> Tensor:
    """Return the tokens in the order in which they are chosen, axes (count), int64.

    The first is the one whose nearest neighbour is farthest, each further one the one farthest from those chosen
    (DivPrune, CVPR 2025, Algorithm 1); among equals the lowest index. A running minimum makes it O(count x tokens)
    beside one pass over all pairs, in blocks.

    Args:
        distances: See `Distances`.
        tokens: How many there are, at least 2 unless ``count`` is 0.
        count: How many to choose.
        device: Device of the distances.
        is_strict: Whether a token is no neighbour of itself and is chosen once. Otherwise, as published, the nearest
            neighbour is the second smallest distance and a token stays out by its own distance of about 0: duplicates
            can be chosen again.
    """
    order = torch.empty(count, dtype=torch.int64, device=device)
    if not count:
        return order
    # Made beforehand: small results kept between freed blocks would split the heap until all pairs fit into it.
    gain = distances(order[:0]).new_empty(tokens)
    for start, stop in row_blocks(tokens, tokens, device):
        rows = torch.arange(start, stop, device=device)
        block = distances(rows)
        if is_strict:
            block[rows - start, rows] = torch.inf
            gain[start:stop] = block.amin(dim=1)
        else:
            gain[start:stop] = block.topk(2, dim=1, largest=False).values[:, 1]
    for step in range(count):
        best = first_argmax(gain).view(1)
        order[step] = best
        own = distances(best)[0]
        gain = own if not step else torch.minimum(gain, own)
        if is_strict:
            gain[order[: step + 1]] = -torch.inf
    return order
