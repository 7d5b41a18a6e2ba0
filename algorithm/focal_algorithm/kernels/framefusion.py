"""Merging by similarity and pruning by attention of FrameFusion (ICCV 2025): budget, merge and weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from focal_algorithm.kernels.importance import attention_probabilities
from focal_algorithm.kernels.ordering import select_top
from focal_common.errors import RunError


def spent_layers(ratios: Sequence[float]) -> tuple[float, float]:
    """Return the share of tokens left by rounds of merging, and what the rounds cost in layers of all tokens."""
    share, spent = 1.0, 0.0
    for ratio in ratios:
        share *= 1 - ratio
        spent += share
    return share, spent


def remaining_reduction(ratios: Sequence[float], *, cost: float, layers: int) -> float:
    """Return the fraction of present visual tokens to drop so that the rest of the layers meet the budget.

    Args:
        ratios: Merge ratios achieved so far; each is charged as one layer.
        cost: Mean fraction of visual tokens per layer that is allowed.
        layers: Decoder layers.

    Raises:
        RunError: Merging has already spent more than the budget.
    """
    share, spent = spent_layers(ratios)
    remaining = layers * cost - spent
    if remaining < 0:
        raise RunError(
            f"FrameFusion: {len(ratios)} rounds of merging cost {spent:.3f} layers, more than the budget of "
            f"{layers} layers x cost {cost} = {layers * cost:.3f}; raise cost"
        )
    left = layers - len(ratios)
    if not left or not share:
        return 0.0
    fraction = remaining / (left * share)
    return 0.0 if fraction > 1 else 1 - fraction


@dataclass(frozen=True)
class Merge:
    """Result of one round over n visual tokens.

    Attributes:
        representative: Place of the token that stands for each token, axes (n), int64.
        values: Visual tokens with means in the representatives, axes (n, width).
        ratio: Tokens alike over n, the achieved ratio.
        is_over_budget: Whether alike tokens were more than needed, so that only the most alike merged.
    """

    representative: Tensor
    values: Tensor
    ratio: float
    is_over_budget: bool


def merge_alike(values: Tensor, types: Tensor, *, similarity: float, budget: float) -> Merge:
    """Merge each run of tokens that resemble their predecessor of the same type.

    Tokens are ordered by (type, place). The token before a run becomes the mean of itself and the run.

    Args:
        values: Visual tokens in order of the sequence, axes (n, width).
        types: Place in its frame of each token, axes (n), int64.
        similarity: Cosine from which a token is alike.
        budget: Largest fraction to merge; see `remaining_reduction`.
    """
    count = len(values)
    if not count:
        return Merge(torch.arange(0, device=values.device), values, 0.0, False)
    order = types.sort(stable=True)[1]
    sorted_values, sorted_types = values[order], types[order]
    alike = torch.full((count,), -2.0, dtype=values.dtype, device=values.device)
    cosine = _cosine(sorted_values[1:], sorted_values[:-1])
    alike[1:] = torch.where(sorted_types[1:] == sorted_types[:-1], cosine, alike[1:])
    is_merged = alike >= similarity
    ratio = int(is_merged.sum()) / count
    is_over_budget = ratio >= budget
    if is_over_budget:
        chosen = select_top(alike, math.floor(budget * count))
        is_merged = torch.zeros_like(is_merged).index_fill_(0, chosen, True)
    head = (~is_merged).cumsum(0) - 1
    heads = (~is_merged).nonzero().flatten()
    merged = values.clone()
    merged[order[heads]] = _means(sorted_values, head, len(heads))
    representative = torch.empty_like(order)
    representative[order] = order[heads][head]
    return Merge(representative, merged, ratio, is_over_budget)


def prune_to_budget(weights: Tensor, reduction: float) -> Tensor:
    """Return which visual tokens stay, in order, axes (kept), int64.

    Args:
        weights: Attention to each visual token present, axes (n).
        reduction: Fraction to drop; round(n (1 - reduction)) tokens stay.
    """
    return select_top(weights, round(len(weights) * (1 - reduction)))


def last_query_attention(
    query: Tensor, key: Tensor, *, scaling: float, rows: Tensor, mask: Tensor | None = None
) -> Tensor:
    """Return the attention of the last token to some tokens, averaged over the heads.

    Args:
        query: Last query of each head, axes (heads, 1, head_dim).
        key: Axes (kv_heads, tokens, head_dim).
        scaling: Factor of the scores.
        rows: Tokens asked for, axes (n), int64.
        mask: Whether it may attend to each token, axes (1, tokens), bool; None for all.

    Returns:
        Axes (n), dtype of the query.
    """
    groups = query.shape[0] // key.shape[0]
    parts = [
        attention_probabilities(
            query[index * groups : (index + 1) * groups], head, scaling=scaling, mask=mask
        )
        for index, head in enumerate(key)
    ]
    return torch.cat(parts)[:, 0, rows].mean(dim=0)


def _cosine(one: Tensor, two: Tensor) -> Tensor:
    """Return the cosine in the dtype of the operands; a zero vector resembles nothing."""
    norms = one.norm(dim=-1) * two.norm(dim=-1)
    return ((one * two).sum(dim=-1) / norms).nan_to_num_(nan=-1.0)


def _means(values: Tensor, group: Tensor, groups: int) -> Tensor:
    """Return the mean of each group of consecutive rows, summed in fp32 and in order, so that it repeats."""
    sizes = torch.bincount(group, minlength=groups)
    return torch.segment_reduce(values.to(torch.float32), "mean", lengths=sizes, axis=0).to(values.dtype)
