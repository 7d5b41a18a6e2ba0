"""Greedy choice of a diverse and relevant set: MAP of a determinantal point process.

CDPruner, NeurIPS 2025, arXiv:2506.10967. The kernel q_i S_ij q_j is formed one row at a time, so memory is
O(count x tokens) and never O(tokens x tokens).
"""

from __future__ import annotations

import torch
from torch import Tensor

from focal_algorithm.kernels.ordering import first_argmax

_LEAST_RELEVANCE = 1e-6
"""Added to the numerator of the relevance, so that no token has none. Source: published code."""
_SPENT = 1e-7
"""Gain from which on only rounding noise is left: the rank of the kernel is exhausted."""


def unit_rows(values: Tensor, *, is_strict: bool) -> Tensor:
    """Return rows of norm 1, axes (..., width), divided in their own dtype and then float32.

    Args:
        values: Axes (..., width).
        is_strict: Whether the norm is bounded below by 1e-12, so that a zero row stays zero; else it becomes NaN.
    """
    norms = values.norm(dim=-1, keepdim=True)
    return (values / (norms.clamp(min=1e-12) if is_strict else norms)).to(torch.float32)


def mean_cosine(values: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cosine of each row to some targets, in float32.

    Args:
        values: Axes (..., tokens, width).
        targets: Axes (targets, width).

    Returns:
        Axes (..., tokens).
    """
    return (unit_rows(values, is_strict=False) @ unit_rows(targets, is_strict=False).T).mean(dim=-1)


def scaled_relevance(scores: Tensor, *, is_strict: bool) -> Tensor:
    """Return scores mapped to just above 0 and to 1, over all of them together.

    Args:
        scores: Of all tokens of a prompt, any axes, float32.
        is_strict: Whether equal scores all become 1; else they become infinite, as published.
    """
    least, most = scores.amin(), scores.amax()
    if is_strict and bool(least == most):
        return torch.ones_like(scores)
    return (scores - least + _LEAST_RELEVANCE) / (most - least)


def determinant_order(unit: Tensor, relevance: Tensor, count: int, *, is_strict: bool) -> Tensor:
    """Return tokens in the order in which they are chosen, int64; the lower index among equals.

    Each step takes the token that enlarges the determinant of the chosen kernel block most. Complexity O(count^2 x
    tokens + count x tokens x width).

    Args:
        unit: Rows of norm 1, axes (tokens, width), float32.
        relevance: Axes (tokens), float32.
        count: How many to choose, at most the number of tokens.
        is_strict: Whether exactly ``count`` are returned, filled up by relevance where the kernel's rank is below it.
            Otherwise the choice ends where no positive gain is left.
    """
    gain = relevance * unit.norm(dim=-1).square() * relevance
    parts = gain.new_empty(count, len(gain))
    order: list[int] = []
    for step in range(count):
        best = int(first_argmax(gain))
        if not float(gain[best]) > (_SPENT if is_strict else 0.0):
            break
        row = relevance[best] * (unit @ unit[best]) * relevance
        parts[step] = (row - parts[:step, best] @ parts[:step]) / gain[best].sqrt()
        gain = gain - parts[step].square()
        gain[[*order, best]] = -torch.inf
        order.append(best)
    chosen = torch.tensor(order, dtype=torch.int64, device=unit.device)
    if not is_strict or len(order) == count:
        return chosen
    left = relevance.clone()
    left[chosen] = -torch.inf
    return torch.cat((chosen, left.sort(descending=True, stable=True).indices[: count - len(order)]))
