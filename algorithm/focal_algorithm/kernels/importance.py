"""Importance of visual tokens for semantic concentration (SEC; Focus, HPCA 2026, sec. V)."""

from __future__ import annotations

import torch
from torch import Tensor

from focal_common.errors import RunError, UnsupportedError

_MASKED_BIAS = -1e4
"""Added where attention is not allowed. Source: published Focus artifact (representable in fp16)."""


def importance(
    query_rows: Tensor,
    keys: Tensor,
    *,
    scaling: float,
    first_visual: int,
    visual_count: int,
    mask: Tensor | None = None,
    name: str = "attention",
) -> Tensor:
    """Return the largest attention any head of any trailing text token pays to each visual token.

    Only the trailing text rows are computed, O(heads x T x n) instead of O(heads x n^2); softmax is by row,
    so the numbers are those of the full matrix. One key-value head is worked on at a time.

    Args:
        query_rows: (heads, T, head_dim) queries after rotary embedding of the T tokens that follow the
            visual range, which are the last T of the sequence.
        keys: (kv_heads, n, head_dim) keys after rotary embedding of the current sequence.
        scaling: Factor on the scores, 1/sqrt(head_dim).
        first_visual: a, index of the first visual token.
        visual_count: Visual tokens still present.
        mask: (T, n) additive bias or bool (true = may attend); None for causal attention.
        name: What to call the tensors in an error.

    Returns:
        (visual_count,), the dtype of the queries.

    Raises:
        UnsupportedError: T is 0: no text follows the visual tokens.
        RunError: A probability is NaN.
    """
    groups = query_rows.shape[0] // keys.shape[0]
    parts = [
        importance_of_probabilities(
            attention_probabilities(
                query_rows[group * groups : (group + 1) * groups], head_keys, scaling=scaling, mask=mask
            ),
            first_visual=first_visual,
            visual_count=visual_count,
            name=name,
        )
        for group, head_keys in enumerate(keys)
    ]
    return torch.stack(parts).amax(0)


def attention_probabilities(
    query_rows: Tensor, head_keys: Tensor, *, scaling: float, mask: Tensor | None = None
) -> Tensor:
    """Return softmaxed attention of the last T queries of the heads that share one key head.

    Products are summed in fp32 and then rounded to the model's dtype before scaling, after scaling and after
    the bias, as the un-fused published formula does. A score that would overflow there keeps its fp32 value.

    Args:
        query_rows: (heads of the group, T, head_dim).
        head_keys: (n, head_dim).
        scaling: Factor on the scores.
        mask: (T, n) additive or bool; None for causal.

    Returns:
        (heads of the group, T, n), the dtype of the queries.
    """
    dtype = query_rows.dtype
    rows, length = query_rows.shape[1], head_keys.shape[0]
    scores = _rounded(query_rows.to(torch.float32) @ head_keys.to(torch.float32).T, dtype)
    scores = _rounded(scores * scaling, dtype)
    if mask is None:
        index = torch.arange(length, device=scores.device)
        mask = index[None, :] <= index[length - rows :, None]
    if mask.dtype == torch.bool:
        bias = torch.zeros(mask.shape, device=scores.device).masked_fill_(~mask, _MASKED_BIAS)
    else:
        bias = mask.to(torch.float32)
    return torch.softmax(_rounded(scores + bias.to(dtype).to(torch.float32), dtype), -1).to(dtype)


def importance_of_probabilities(
    probabilities: Tensor, *, first_visual: int, visual_count: int, name: str = "attention"
) -> Tensor:
    """Return the maximum over heads and trailing text rows for each visual column.

    Args:
        probabilities: (heads, T, n).
        first_visual: a, index of the first visual token.
        visual_count: Visual tokens present.
        name: What to call the tensor in an error.

    Raises:
        UnsupportedError: T is 0.
        RunError: A probability is NaN.
    """
    if not probabilities.shape[1]:
        raise UnsupportedError(
            "semantic concentration needs at least one token after the visual tokens; the prompt has none"
        )
    best = probabilities[..., first_visual : first_visual + visual_count].amax((0, 1))
    if bool(best.isnan().any()):
        raise RunError(f"{name}: attention to visual tokens is NaN; importance cannot be ranked")
    return best


def _rounded(scores: Tensor, dtype: torch.dtype) -> Tensor:
    """Round fp32 scores to the model's dtype and back, except where that would overflow."""
    if dtype == torch.float32:
        return scores
    rounded = scores.to(dtype).to(torch.float32)
    return torch.where(rounded.isinf(), scores, rounded)
