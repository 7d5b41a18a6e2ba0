"""Correction of the pull of near positions that a rotary embedding gives to attention.

SparseVLM's second version (code only): attention after softmax over the scores of all-ones operands.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["corrected", "position_weights"]


def position_weights(cos: Tensor, sin: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the scaled product of all-ones queries and keys after the rotary embedding.

    Args:
        cos: Axes (tokens, head_dim), halves repeated.
        sin: Same axes.
        rows: Tokens that ask, axes (rows), int64.
        columns: Tokens asked, axes (columns), int64.

    Returns:
        Axes (rows, columns), float32. May be near zero or negative.
    """
    cos, sin = cos.to(torch.float32), sin.to(torch.float32)
    half = cos.shape[-1] // 2
    sign = torch.cat((-torch.ones(half), torch.ones(half))).to(cos)
    ones = cos + sign * sin
    return (ones[rows] @ ones[columns].T) * cos.shape[-1] ** -0.5


def corrected(attention: Tensor, weights: Tensor, least: float = 0.0) -> Tensor:
    """Return attention over the position weights.

    Args:
        attention: Axes (heads, rows, columns).
        weights: Axes (rows, columns).
        least: Entries whose weight is not above this stay as they are; 0 with ``weights`` of any sign divides
            everywhere, as published.
    """
    if least:
        weights = torch.where(weights > least, weights, 1.0)
    return attention / weights
