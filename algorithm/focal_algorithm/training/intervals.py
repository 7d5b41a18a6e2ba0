"""95 % intervals of proportions and of paired differences."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["paired_difference", "wilson"]

_Z = 1.959964
"""97.5 % quantile of the normal distribution."""


def wilson(right: int, total: int) -> tuple[float, float]:
    """Return the interval of a proportion (Wilson 1927, doi 10.2307/2276774)."""
    if not total:
        return 0.0, 1.0
    share, square = right / total, _Z**2
    centre = share + square / (2 * total)
    half = _Z * math.sqrt(share * (1 - share) / total + square / (4 * total**2))
    scale = 1 + square / total
    return (centre - half) / scale, (centre + half) / scale


def paired_difference(
    first: Sequence[float], second: Sequence[float], clusters: Sequence[int] | None = None
) -> tuple[float, float, float]:
    """Return the mean of first - second on the same questions, with its interval (normal approximation).

    Args:
        first: Of each question, 1 if right; or the chance to be right.
        second: The same under another condition.
        clusters: Which picture each question is about, since questions about one picture are not independent
            (Liang and Zeger 1986, doi 10.1093/biomet/73.1.13); all independent if None.
    """
    steps = [float(one) - float(other) for one, other in zip(first, second, strict=True)]
    mean = math.fsum(steps) / len(steps)
    sums: dict[int, float] = {}
    for cluster, step in zip(clusters if clusters is not None else range(len(steps)), steps, strict=True):
        sums[cluster] = sums.get(cluster, 0.0) + step - mean
    many = len(sums)
    if many < 2:
        return mean, -1.0, 1.0
    variance = math.fsum(one**2 for one in sums.values()) * many / (many - 1)
    half = _Z * math.sqrt(variance) / len(steps)
    if len(set(first)) == 1 or len(set(second)) == 1:  # no spread is no certainty: the rule of three
        half = max(half, 3 / many)
    return mean, mean - half, mean + half
