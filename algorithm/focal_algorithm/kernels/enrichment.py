"""Outliers of the attention of CLS, each enriched by the tokens most like it (LLaVA-PruMerge, arXiv:2403.15388)."""

from __future__ import annotations

import torch
from torch import Tensor

from focal_algorithm.kernels.ordering import top_indices

_QUARTILE_RANGES = 1.5
"""Beyond the upper quartile, in ranges between the quartiles, from which a score is an outlier. Source: the paper."""


def cls_scores(query: Tensor, keys: Tensor) -> Tensor:
    """Return how much CLS attends to each token, as one head over the whole width; axes (tokens), their dtype.

    Args:
        query: Of CLS, axes (width).
        keys: Of CLS and the tokens, axes (1 + tokens, width).
    """
    return ((keys @ query) * keys.shape[-1] ** -0.5).softmax(dim=-1)[1:]


def outlier_share(scores: Tensor) -> float:
    """Return the share of scores, of any axes, above the upper quartile by 1.5 ranges between the quartiles."""
    values = scores.to(torch.float32).flatten()
    low, high = torch.quantile(values, values.new_tensor((0.25, 0.75))).tolist()
    return int((values > high + _QUARTILE_RANGES * (high - low)).sum()) / len(values)


def enriched(
    features: Tensor,
    keys: Tensor,
    scores: Tensor,
    chosen: Tensor,
    rest: Tensor,
    neighbours: int,
    *,
    is_normalised: bool = False,
) -> Tensor:
    """Return each chosen token plus the tokens most like it, weighted by their scores; then one for all the rest.

    Sums are made in float32, from the features as given, so that a token may enter several.

    Args:
        features: Axes (tokens, width).
        keys: Axes (tokens, key width); likeness is their cosine.
        scores: Axes (tokens).
        chosen: Axes (m), int64; the same token may occur twice.
        rest: The others, axes (o), int64, ascending.
        neighbours: How many tokens each takes, as far as there are so many.
        is_normalised: Whether each sum is divided by one plus its weights, and that of the rest by its weights.

    Returns:
        Axes (m + 1, width), dtype of ``features``.
    """
    values, weights = features.to(torch.float32), scores.to(torch.float32)
    unit = keys.to(torch.float32)
    unit = unit / unit.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    listed = torch.cat((chosen, rest))
    unit, made = unit[listed], []
    for number, token in enumerate(chosen.tolist()):
        alike = unit @ unit[number]
        alike[number] = -torch.inf
        nearest = listed[top_indices(alike, min(neighbours, len(listed) - 1))]
        own = values[token] + weights[nearest] @ values[nearest]
        made.append(own / (1 + weights[nearest].sum()) if is_normalised else own)
    left = weights[rest] @ values[rest]
    made.append(left / weights[rest].sum().clamp(min=1e-12) if is_normalised else left)
    return torch.stack(made).to(features.dtype)
