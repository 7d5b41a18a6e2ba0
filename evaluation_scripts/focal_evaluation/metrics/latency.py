"""Percentiles and means of measured times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Spread", "percentile", "spread"]


@dataclass(frozen=True)
class Spread:
    """Of one quantity, in its own unit.

    Attributes:
        mean: Arithmetic. p50: Median. p95: 95th percentile.
    """

    mean: float
    p50: float
    p95: float


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the linearly interpolated percentile; 0 of nothing."""
    if not values:
        return 0.0
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def spread(values: Sequence[float]) -> Spread:
    """Return mean, median and 95th percentile."""
    mean = math.fsum(values) / len(values) if values else 0.0
    return Spread(mean, percentile(values, 50), percentile(values, 95))
