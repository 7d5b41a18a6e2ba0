"""What token selection reads from one attention layer of a vision tower, without its n x n matrix.

VisionZip, CVPR 2025 (arXiv:2412.04467), sec. 3.2: attention of the CLS token where there is one, else the mean
attention that a token receives.
"""

from __future__ import annotations

import torch
from torch import Tensor

from focal_algorithm.kernels.chunks import row_blocks

__all__ = ["attention_from_first", "attention_received", "head_mean"]


def head_mean(projected: Tensor, heads: int) -> Tensor:
    """Return the mean over heads of a projection.

    Args:
        projected: Axes (tokens, heads x head_dim).
        heads: Number of heads.

    Returns:
        Axes (tokens, head_dim), float32.
    """
    return projected.to(torch.float32).view(len(projected), heads, -1).mean(dim=1)


def attention_from_first(query: Tensor, key: Tensor, heads: int, scaling: float) -> Tensor:
    """Return the softmaxed attention of the first token (CLS) to all tokens.

    Args:
        query: Axes (tokens, heads x head_dim), unscaled.
        key: Same axes.
        heads: Number of heads.
        scaling: Factor of the scores.

    Returns:
        Axes (heads, tokens), float32.
    """
    return _rows(_by_head(query[:1], heads), _by_head(key, heads), scaling)[:, 0]


def attention_received(query: Tensor, key: Tensor, heads: int, scaling: float) -> Tensor:
    """Return the mean over queries of the softmaxed attention that each token receives.

    Rows are worked on in chunks, so memory is O(chunk x tokens). Arguments and result as
    `attention_from_first`.
    """
    queries, keys = _by_head(query, heads), _by_head(key, heads)
    tokens = keys.shape[1]
    total = keys.new_zeros(heads, tokens)
    for start, stop in row_blocks(tokens, heads * tokens, keys.device):
        total += _rows(queries[:, start:stop], keys, scaling).sum(dim=1)
    return total / tokens


def _by_head(projected: Tensor, heads: int) -> Tensor:
    return projected.to(torch.float32).view(len(projected), heads, -1).transpose(0, 1)


def _rows(queries: Tensor, keys: Tensor, scaling: float) -> Tensor:
    return ((queries * scaling) @ keys.transpose(1, 2)).softmax(dim=-1)
