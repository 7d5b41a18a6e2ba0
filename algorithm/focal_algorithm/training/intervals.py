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


def paired_difference(first: Sequence[bool], second: Sequence[bool]) -> tuple[float, float, float]:
    """Return the mean of first - second on the same questions, with its interval (normal approximation)."""
    steps = [int(one) - int(other) for one, other in zip(first, second, strict=True)]
    mean = sum(steps) / len(steps)
    variance = sum((step - mean) ** 2 for step in steps) / max(1, len(steps) - 1)
    half = _Z * math.sqrt(variance / len(steps))
    return mean, mean - half, mean + half
