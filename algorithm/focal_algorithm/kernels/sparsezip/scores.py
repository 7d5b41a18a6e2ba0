"""Hybrid score of the patches of a picture: attention, entropy of a key, concentration of its similarities.

SparseZip (an extension of VisionZip published as code only). The entropy term is high for keys whose channels
are flat, the similarity term for tokens whose similarity mass lies on few neighbours: it rewards
near-duplicates. Two published forms differ in normalisation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from focal_algorithm.kernels.chunks import row_blocks

__all__ = [
    "EPSILON",
    "HybridWeights",
    "add_cross_score",
    "combine_layers",
    "cross_score",
    "hybrid_score",
    "z_scores",
]

EPSILON = 1e-12
"""Floor of probabilities, norms and deviations. Source: published code."""
_SELF_SIMILARITY = -1e9  # takes a token out of its own softmax; source: published code


@dataclass(frozen=True)
class HybridWeights:
    """Weights and temperatures of the three terms.

    Attributes:
        attention: Of the attention received.
        entropy: Of the entropy of a key's channels.
        mutual: Of the concentration of a token's similarities.
        tau_feat: Temperature over channels, above 0.
        tau_sim: Temperature over similarities, above 0.
    """

    attention: float = 1.0
    entropy: float = 0.4
    mutual: float = 0.6
    tau_feat: float = 0.2
    tau_sim: float = 0.1


def hybrid_score(
    attention: Tensor, keys: Tensor, weights: HybridWeights, *, is_min_max: bool = False
) -> Tensor:
    """Return the score of each patch from one tower layer.

    Args:
        attention: Attention that each patch receives, axes (heads, patches).
        keys: Head-mean keys of the patches, axes (patches, key width).
        weights: Of the terms.
        is_min_max: Map each term to [0, 1] and take the entropy of normalised keys; otherwise each term is
            standardised and the entropy is that of plain keys.

    Returns:
        Axes (patches), float32.
    """
    values = keys.to(torch.float32)
    unit = values / (values.norm(dim=-1, keepdim=True) + EPSILON)
    terms = (
        attention.to(torch.float32).mean(dim=0),
        _channel_entropy(unit if is_min_max else values, weights.tau_feat, is_min_max),
        _similarity_concentration(unit, weights.tau_sim, is_min_max),
    )
    scaled = [_min_max(term) if is_min_max else z_scores(term) for term in terms]
    return weights.attention * scaled[0] + weights.entropy * scaled[1] + weights.mutual * scaled[2]


def z_scores(values: Tensor) -> Tensor:
    """Return values less their mean over their sample standard deviation, along the last axis."""
    deviation = values.std(dim=-1, keepdim=True) + EPSILON
    return (values - values.mean(dim=-1, keepdim=True)) / deviation


def combine_layers(scores: Tensor, gates: Tensor | None = None) -> Tensor:
    """Return the gated sum of the standardised scores of several layers.

    Args:
        scores: Axes (layers, patches). One layer is returned as it is.
        gates: Axes (layers), before softmax; None for equal weights. The published gates are never trained.
    """
    if len(scores) == 1:
        return scores[0]
    gates = scores.new_zeros(len(scores)) if gates is None else gates.to(scores)
    return (gates.softmax(dim=0)[:, None] * z_scores(scores)).sum(dim=0)


def cross_score(cross: Tensor, prefix_tokens: int, token_axis: int = -1) -> Tensor:
    """Return the mean of a cross-attention map over every axis but that of the visual tokens.

    Args:
        cross: For example axes (heads, text tokens, visual tokens).
        prefix_tokens: CLS tokens to leave out.
        token_axis: Axis of the visual tokens.
    """
    moved = cross.to(torch.float32).movedim(token_axis, -1)
    return moved.reshape(-1, moved.shape[-1]).mean(dim=0)[prefix_tokens:]


def add_cross_score(scores: Tensor, cross: Tensor, beta: float) -> Tensor:
    """Return ``scores`` plus ``beta`` times the standardised ``cross``, both axes (patches)."""
    return scores if beta == 0.0 else scores + beta * z_scores(cross)


def _entropy(probabilities: Tensor, is_added: bool) -> Tensor:
    if is_added:
        return -(probabilities * (probabilities + EPSILON).log()).sum(dim=-1)
    floored = probabilities.clamp(min=EPSILON)
    return -(floored * floored.log()).sum(dim=-1)


def _channel_entropy(values: Tensor, temperature: float, is_added: bool) -> Tensor:
    probabilities = (values / max(temperature, EPSILON)).softmax(dim=-1)
    return _entropy(probabilities, is_added) / math.log(values.shape[-1] + EPSILON)


def _similarity_concentration(unit: Tensor, temperature: float, is_added: bool) -> Tensor:
    count = len(unit)
    parts: list[Tensor] = []
    for start, stop in row_blocks(count, count, unit.device):
        similarity = unit[start:stop] @ unit.T
        index = torch.arange(start, stop, device=unit.device)
        similarity[index - start, index] = _SELF_SIMILARITY
        probabilities = (similarity / max(temperature, EPSILON)).softmax(dim=-1)
        parts.append(_entropy(probabilities, is_added))
    return 1.0 - torch.cat(parts) / math.log(count + EPSILON)


def _min_max(values: Tensor) -> Tensor:
    low = values.amin(dim=-1, keepdim=True)
    return (values - low) / (values.amax(dim=-1, keepdim=True) - low + EPSILON)
