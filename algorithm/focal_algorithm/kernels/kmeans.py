"""Contextual tokens by k-means over keys, with an optional joining of surplus clusters; SparseZip (code only).

The published code draws starting points from the process-wide random generator, so a picture's result depends on what
ran before it. Here a source of draws, seeded or without chance, belongs to one picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from focal_algorithm.kernels.hybrid_scores import EPSILON
from focal_algorithm.kernels.ordering import first_argmax, first_argmin, one_hot_rows


class Draws(Protocol):
    """Chooses one of several points."""

    def uniform(self, count: int) -> int:
        """Choose below ``count``."""
        ...

    def proportional(self, weights: Tensor) -> int:
        """Choose in proportion to ``weights``, axes (points)."""
        ...


class FarthestPoints:
    """No chance: the first point, then always the heaviest one, which is the farthest."""

    def uniform(self, count: int) -> int:
        """Choose the first point."""
        return 0

    def proportional(self, weights: Tensor) -> int:
        """Choose the heaviest point; the first of equals."""
        return int(first_argmax(weights))


class SeededDraws:
    """Draws of a generator of its own; repeats for equal seeds."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def uniform(self, count: int) -> int:
        """Choose below ``count``."""
        return int(torch.randint(count, (1,), generator=self._generator))

    def proportional(self, weights: Tensor) -> int:
        """Choose in proportion to the weights."""
        return int(torch.multinomial(weights.cpu(), 1, generator=self._generator))


@dataclass(frozen=True)
class KMeansRules:
    """How clusters are formed.

    Attributes:
        init_factor: Initial clusters per contextual token.
        iterations: Lloyd rounds.
        agglomerative: Whether surplus clusters are joined; if not, only the first ones are emitted and every
            token of the others is lost, as published.
        keeps_surplus: Repair: with ``agglomerative`` off, start with no surplus cluster.
    """

    init_factor: float = 2.0
    iterations: int = 10
    agglomerative: bool = True
    keeps_surplus: bool = False


def squared_distances(points: Tensor, centres: Tensor) -> Tensor:
    """Return squared Euclidean distances, axes (points, centres)."""
    return torch.cdist(points, centres, compute_mode="donot_use_mm_for_euclid_dist") ** 2


def kmeans(
    points: Tensor, count: int, iterations: int, draws: Draws, weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Cluster points from k-means++ starts.

    Args:
        points: Axes (points, width), float32.
        count: Clusters, at most the points.
        iterations: Lloyd rounds; an empty cluster is moved to a drawn point.
        draws: Source of the starting points.
        weights: Weights of the points, axes (points); None for equal ones.

    Returns:
        Centres, axes (clusters, width), and the assignment of the last round, before its update, axes (points).
    """
    chosen = [draws.uniform(len(points))]
    nearest = squared_distances(points, points[chosen])[:, 0]
    while len(chosen) < count:
        floored = nearest.clamp(min=EPSILON)
        chosen.append(draws.proportional(floored / floored.sum()))
        nearest = nearest.minimum(squared_distances(points, points[chosen[-1:]])[:, 0])
    centres = points[chosen].clone()
    assignment = first_argmin(squared_distances(points, centres))
    for _ in range(iterations):
        assignment = first_argmin(squared_distances(points, centres))
        members = torch.bincount(assignment, minlength=count)
        means = _means(points, assignment, count, weights)
        for cluster in range(count) if bool((members == 0).any()) else ():
            if not members[cluster]:
                means[cluster] = points[draws.uniform(len(points))]
        centres = means
    return centres, assignment


def join_clusters(centres: Tensor, count: int) -> Tensor:
    """Join the two centres of highest cosine into their midpoint until ``count`` remain.

    The midpoint goes to the end, unweighted and not normalised again.
    """
    while len(centres) > count:
        unit = centres / (centres.norm(dim=-1, keepdim=True) + EPSILON)
        cosine = unit @ unit.T
        cosine.fill_diagonal_(-1.0)
        flat = int(first_argmax(cosine.flatten()))
        first, second = divmod(flat, len(centres))
        midpoint = (centres[first] + centres[second]) / 2
        keep = torch.ones(len(centres), dtype=torch.bool, device=centres.device)
        keep[[first, second]] = False
        centres = torch.cat((centres[keep], midpoint[None]))
    return centres


def merge_by_kmeans(
    features: Tensor,
    keys: Tensor,
    count: int,
    rules: KMeansRules,
    draws: Draws,
    weights: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Merge the remaining tokens of a picture into contextual tokens.

    Args:
        features: Axes (remaining, width).
        keys: Axes (remaining, key width).
        count: Contextual tokens.
        rules: How clusters are formed.
        draws: Source of starting points.
        weights: Weights of the tokens, axes (remaining); None for plain means.

    Returns:
        Merged tokens, axes (count, width), zero where a cluster is empty, and the contextual token of each
        remaining one, -1 if it was lost, axes (remaining), int64.
    """
    remaining = len(features)
    merged = features.new_zeros(count, features.shape[-1], dtype=torch.float32)
    if not remaining or not count:
        lost = torch.full((remaining,), -1, dtype=torch.int64, device=features.device)
        return merged.to(features.dtype), lost
    unit = keys.to(torch.float32)
    unit = unit / (unit.norm(dim=-1, keepdim=True) + EPSILON)
    factor = 1.0 if rules.keeps_surplus and not rules.agglomerative else rules.init_factor
    initial = min(max(count, math.ceil(factor * count)), remaining)
    centres, _ = kmeans(unit, initial, rules.iterations, draws, weights)
    if rules.agglomerative:
        centres = join_clusters(centres, count)
    assignment = first_argmin(squared_distances(unit, centres))
    assignment = torch.where(assignment < count, assignment, -1)
    means = _means(features.to(torch.float32), assignment, count, weights)
    return means.to(features.dtype), assignment


def _means(values: Tensor, assignment: Tensor, count: int, weights: Tensor | None) -> Tensor:
    share = one_hot_rows(assignment, count)
    if weights is not None:
        share = share * weights.to(torch.float32)
        return (share @ values) / (share.sum(dim=1, keepdim=True) + EPSILON)
    return (share @ values) / share.sum(dim=1, keepdim=True).clamp(min=1)
