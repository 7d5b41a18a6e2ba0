"""One picture through SparseZip: hybrid scores, K, dominant tokens, contextual tokens.

Three published lineages differ: ``s1`` (standardised terms, K from the variance; VisionZip's merging or k-means),
``s2`` (terms in [0, 1], K from the spread, single-shot merging) and ``s3`` (as s1 with terms in [0, 1], and a
switch that scores by attention alone).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from focal_algorithm.kernels.hybrid_scores import (
    EPSILON,
    HybridWeights,
    add_cross_score,
    combine_layers,
    dynamic_k,
    hybrid_score,
)
from focal_algorithm.kernels.kmeans import Draws, FarthestPoints, KMeansRules, merge_by_kmeans
from focal_algorithm.kernels.visionzip import (
    merge_into_targets,
    select_dominant,
    split_tokens,
)

Variant = Literal["s1", "s2", "s3"]


@dataclass(frozen=True)
class SparseZipRules:
    """Settings of the compressor.

    Attributes:
        variant: Published lineage.
        weights: Weights of the hybrid score.
        dominant: K; None for dynamic K, or for ``max(k_min, 4)`` where that is off.
        dynamic: Whether K follows the scores.
        offset: c of dynamic K. epsilon: Its floor.
        k_min: Least K; bounds an explicit K too. k_max: Largest K.
        contextual: C.
        by_kmeans: Merge by k-means; otherwise into spaced targets.
        kmeans: Rules of k-means.
        weighs_by_score: Weigh tokens by their score when merging.
        attention_only: Score by the sum of the attention (s3's ``skip_hybrid_attn``).
    """

    variant: Variant = "s1"
    weights: HybridWeights = field(default_factory=HybridWeights)
    dominant: int | None = None
    dynamic: bool = True
    offset: float = 8.0
    epsilon: float = 1e-6
    k_min: int = 4
    k_max: int = 64
    contextual: int = 16
    by_kmeans: bool = False
    kmeans: KMeansRules = field(default_factory=KMeansRules)
    weighs_by_score: bool = False
    attention_only: bool = False


@dataclass(frozen=True)
class Compressed:
    """A compressed picture, prefix (CLS) tokens left out.

    Attributes:
        ranked: Dominant patches in descending order of score, axes (K), int64.
        dominant: The same in raster order.
        contextual: Merged tokens, axes (C, width).
        remaining: Patches that are not dominant, in raster order, axes (remaining), int64.
        assignment: Contextual token of each of them, -1 for lost, same axes.
    """

    ranked: Tensor
    dominant: Tensor
    contextual: Tensor
    remaining: Tensor
    assignment: Tensor


def patch_scores(
    attention: Tensor,
    keys: Tensor,
    rules: SparseZipRules,
    *,
    gates: Tensor | None = None,
    cross: Tensor | None = None,
    beta: float = 0.0,
) -> Tensor:
    """Return the score of each patch.

    Args:
        attention: Attention that each patch receives, axes (layers, heads, patches).
        keys: Axes (layers, patches, key width).
        rules: Settings.
        gates: Gates of the layers, before softmax; None for equal weights.
        cross: Score from the question, axes (patches).
        beta: Weight of ``cross``.
    """
    if rules.attention_only:
        return attention[0].to(torch.float32).sum(dim=0)
    is_min_max = rules.variant != "s1"
    layers = [
        hybrid_score(received, metric, rules.weights, is_min_max=is_min_max)
        for received, metric in zip(attention, keys, strict=True)
    ]
    scores = combine_layers(torch.stack(layers), gates)
    return scores if cross is None else add_cross_score(scores, cross, beta)


def chosen_k(scores: Tensor, rules: SparseZipRules) -> int:
    """Return K: explicit before dynamic before static, within its bounds."""
    if rules.dominant is not None:
        wanted = rules.dominant
    elif rules.dynamic:
        rule: Literal["variance", "spread"] = "spread" if rules.variant == "s2" else "variance"
        wanted = dynamic_k(
            scores,
            offset=rules.offset,
            k_min=rules.k_min,
            k_max=rules.k_max,
            epsilon=rules.epsilon,
            rule=rule,
        )
    else:
        wanted = max(rules.k_min, 4)
    return max(1, min(max(wanted, rules.k_min), rules.k_max))


def compress(
    features: Tensor,
    keys: Tensor,
    scores: Tensor,
    rules: SparseZipRules,
    *,
    count: int | None = None,
    draws: Draws | None = None,
    weights: Tensor | None = None,
) -> Compressed:
    """Choose dominant patches and merge the rest.

    Args:
        features: Axes (patches, width).
        keys: Axes (patches, key width).
        scores: Axes (patches).
        rules: Settings.
        count: K; None to choose it.
        draws: Source of k-means starts; None for no chance.
        weights: Weights of the patches when merging, axes (patches); None for those that ``rules`` name.

    Raises:
        ConfigError: K is larger than the number of patches.
    """
    ranked = select_dominant(scores, chosen_k(scores, rules) if count is None else count)
    dominant, remaining = split_tokens(ranked, len(features))
    rest, rest_keys = features[remaining], keys[remaining]
    if weights is None and rules.weighs_by_score:
        weights = scores
    shares = None if weights is None else weights[remaining]
    if rules.by_kmeans:
        source = FarthestPoints() if draws is None else draws
        merged, assignment = merge_by_kmeans(rest, rest_keys, rules.contextual, rules.kmeans, source, shares)
    else:
        is_single_shot = rules.variant == "s2"
        done = merge_into_targets(
            rest,
            rest_keys,
            rules.contextual,
            merge="others" if is_single_shot else "sum",
            epsilon=EPSILON,
            repeats_targets=True,
            weights=shares if is_single_shot else None,
        )
        merged, assignment = done.features, done.assignment
    return Compressed(ranked, dominant, merged, remaining, assignment)
