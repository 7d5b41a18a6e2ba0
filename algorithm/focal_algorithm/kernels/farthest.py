"""Greedy farthest points: a subset of tokens whose members lie far apart (max-min diversity)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from focal_algorithm.kernels.ordering import first_argmax
from focal_algorithm.kernels.vectors import row_blocks

__all__ = ["cosine_distances", "farthest_points"]

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
        device: Of the distances.
        is_strict: Whether a token is no neighbour of itself and is chosen once. Otherwise, as published, the nearest
            neighbour is the second smallest distance and a token stays out by its own distance of about 0: duplicates
            can be chosen again.
    """
    order = torch.empty(count, dtype=torch.int64, device=device)
    if not count:
        return order
    nearest = []
    for start, stop in row_blocks(tokens, tokens, device):
        rows = torch.arange(start, stop, device=device)
        block = distances(rows)
        if is_strict:
            block[rows - start, rows] = torch.inf
            nearest.append(block.amin(dim=1))
        else:
            nearest.append(block.topk(2, dim=1, largest=False).values[:, 1])
    gain = torch.cat(nearest)
    for step in range(count):
        best = first_argmax(gain).view(1)
        order[step] = best
        own = distances(best)[0]
        gain = own if not step else torch.minimum(gain, own)
        if is_strict:
            gain[order[: step + 1]] = -torch.inf
    return order
