"""Hybrid score of the patches of a picture: attention, entropy of a key, concentration of its similarities.

SparseZip (an extension of VisionZip published as code only). The entropy term is high for keys whose channels
are flat, the similarity term for tokens whose similarity mass lies on few neighbours: it rewards
near-duplicates. Two published forms differ in normalisation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from focal_algorithm.kernels.vectors import row_blocks

EPSILON = 1e-12
"""Floor of probabilities, norms and deviations. Source: published code."""
_SELF_SIMILARITY = -1e9  # takes a token out of its own softmax; source: published code


@dataclass(frozen=True)
class HybridWeights:
    """Weights and temperatures of the three terms.

    Attributes:
        attention: Weight of the attention received.
        entropy: Weight of the entropy of a key's channels.
        mutual: Weight of the concentration of a token's similarities.
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
        weights: Weights of the terms.
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


def _min_max(values: Tensor, epsilon: float = EPSILON) -> Tensor:
    low = values.amin(dim=-1, keepdim=True)
    return (values - low) / (values.amax(dim=-1, keepdim=True) - low + epsilon)


_MIN_MAX_EPSILON = 1e-6  # source: published code, `textaware` model type


def text_key_map(text: Tensor, keys: Tensor) -> Tensor:
    """Return the dot product of the mean text embedding with each normalised key.

    The embedding's first channels stand for the key's channels, although the two spaces are unrelated: what
    the published code does, hence noise rather than text awareness.

    Args:
        text: Input embeddings of the question, axes (text tokens, hidden).
        keys: Axes (tokens, key width), CLS included where there is one.

    Returns:
        Axes (tokens), float32.
    """
    mean = text.to(torch.float32).mean(dim=0)
    mean = mean / (mean.norm() + EPSILON)
    width = keys.shape[-1]
    query = torch.nn.functional.pad(mean[:width], (0, max(0, width - len(mean))))
    values = keys.to(torch.float32)
    return (values / (values.norm(dim=-1, keepdim=True) + EPSILON)) @ query


def projected_text_score(attention: Tensor, embeddings: Tensor, text: Tensor, share: float = 0.6) -> Tensor:
    """Return ``share`` of the attention and the rest of the likeness to the question, each mapped to [0, 1].

    Args:
        attention: Attention that each patch receives, axes (heads, patches).
        embeddings: Patches in the language model's space, axes (patches, hidden).
        text: Input embeddings of the question, axes (text tokens, hidden).
        share: Weight of the attention. Default: published code.
    """
    likeness = embeddings.to(torch.float32) @ text.to(torch.float32).mean(dim=0)
    received = attention.to(torch.float32).sum(dim=0)
    return share * _min_max(received, _MIN_MAX_EPSILON) + (1 - share) * _min_max(likeness, _MIN_MAX_EPSILON)


KRule = Literal["variance", "spread"]


def dynamic_k(
    scores: Tensor, *, offset: float, k_min: int, k_max: int, epsilon: float = 1e-6, rule: KRule = "variance"
) -> int:
    """Return K, at least 1.

    Args:
        scores: Axes (patches).
        offset: c, added to the spread.
        k_min: Least K.
        k_max: Largest K; wins where the two cross.
        epsilon: Floor of the spread.
        rule: ``variance``: ln(population variance + epsilon) + c; ``spread``: c + 10 ln(1 + q90 - q10).
    """
    values = scores.to(torch.float32)
    if rule == "variance":
        wanted = math.log(float(values.var(unbiased=False)) + epsilon) + offset
    else:
        quantiles = torch.quantile(values, torch.tensor([0.1, 0.9], device=values.device))
        wanted = offset + 10.0 * math.log1p(max(float(quantiles[1] - quantiles[0]), epsilon))
    return max(1, min(max(round(wanted), k_min), k_max))


def attention_mass_k(attention: Tensor, mass: float, k_min: int, k_max: int) -> int:
    """Return the fewest patches that hold a share of all attention; free of scale, unlike the published rule.

    Args:
        attention: Attention that each patch receives, axes (heads, patches).
        mass: Share in (0, 1].
        k_min: Least K.
        k_max: Largest K.
    """
    received = attention.to(torch.float64).mean(dim=0).sort(descending=True).values
    reached = received.cumsum(0) / received.sum()
    wanted = int((reached < mass).sum()) + 1
    return max(1, min(max(wanted, k_min), k_max))
