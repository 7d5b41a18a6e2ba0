"""Pivots and the tokens least like them, one pivot after the other (DART, EMNLP 2025, arXiv:2502.11494)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from focal_algorithm.kernels.ordering import top_indices
from focal_algorithm.kernels.vectors import row_blocks

_LEAST_NORMS = 1e-8
"""Bound of the product of two norms, so that a zero vector has cosine 0 to everything. Source: published code."""


def key_norms(key: Tensor) -> Tensor:
    """Return the L1 norm of each token's keys, all heads side by side, in the dtype of the keys.

    Args:
        key: Axes (kv_heads, tokens, head_dim).

    Returns:
        Axes (tokens).
    """
    return key.transpose(0, 1).flatten(1).norm(p=1, dim=-1)


def from_position_zero(key: Tensor, rotary: tuple[Tensor, Tensor] | None) -> Tensor:
    """Return keys as they would be if their first token stood at position 0, such as without padding before it.

    Args:
        key: After the rotary position embedding, axes (kv_heads, tokens, head_dim).
        rotary: Cosine and sine of the tokens, each axes (..., tokens, head_dim); None where there are none.
    """
    if rotary is None:
        return key
    cos, sin = (table[..., 0, :].reshape(-1, table.shape[-1])[0].to(torch.float32) for table in rotary)
    if not bool(sin.any()):
        return key
    values = key.to(torch.float32)
    first, second = values.chunk(2, dim=-1)
    turned_back = values * cos - torch.cat((-second, first), dim=-1) * sin
    return (turned_back / (cos.square() + sin.square()).sqrt()).to(key.dtype)


def cosines(values: Tensor, rows: Tensor, others: Tensor) -> Tensor:
    """Return the cosines of some tokens to others, in the dtype of ``values``.

    Args:
        values: Axes (tokens, width).
        rows: Axes (n), int64.
        others: Axes (m), int64.

    Returns:
        Axes (n, m).
    """
    norms = values.norm(dim=-1)
    products = values.new_empty(len(rows), len(others))
    for start, stop in row_blocks(len(others), values.shape[-1], values.device):
        block = values[others[start:stop]]
        for number, row in enumerate(rows.tolist()):
            products[number, start:stop] = (values[row] * block).sum(dim=-1)
    return products / (norms[rows][:, None] * norms[others]).clamp(min=_LEAST_NORMS)


def least_similar(
    values: Tensor, pivots: Sequence[int], candidates: Tensor, each: int
) -> tuple[list[Tensor], Tensor]:
    """Let each pivot take the tokens of smallest cosine to it out of those that are left; ties to the lower index.

    Args:
        values: Axes (tokens, width).
        pivots: Tokens in the order in which they choose.
        candidates: Tokens to choose from, axes (m), int64, ascending.
        each: How many each pivot takes, as far as there are so many.

    Returns:
        What each pivot took, the least similar first, and which candidates are left, ascending.
    """
    picks = []
    for pivot in pivots:
        alike = cosines(values, candidates.new_tensor([pivot]), candidates)[0]
        chosen = top_indices(-alike, each)
        picks.append(candidates[chosen])
        is_left = torch.ones_like(candidates, dtype=torch.bool)
        is_left[chosen] = False
        candidates = candidates[is_left]
    return picks, candidates
