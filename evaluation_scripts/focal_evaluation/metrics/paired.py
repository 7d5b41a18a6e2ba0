"""Two sets of answers to the same questions: is one more often right?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from focal_common.errors import ConfigError

__all__ = ["Paired", "holm", "paired"]

_RESAMPLES = 9999
_SEED = 0


@dataclass(frozen=True)
class Paired:
    """First against second.

    Attributes:
        difference: Accuracy of the first less that of the second, in percent.
        low: Of its 95 % interval, bootstrap over pictures.
        high: Likewise.
        only_first: Questions that only the first answered right.
        only_second: Likewise.
        p_value: McNemar's exact test, two-sided.
    """

    difference: float
    low: float
    high: float
    only_first: int
    only_second: int
    p_value: float


def paired(first: Sequence[bool], second: Sequence[bool], pictures: Sequence[str]) -> Paired:
    """Compare two sets of answers, question by question.

    Args:
        first: Whether each question was answered right.
        second: Likewise, in the same order.
        pictures: What each question is about. Questions about one picture are not independent, so the interval
            resamples whole pictures (percentiles of 9,999 resamples, seed 0); the test does not know of pictures
            (McNemar 1947, doi 10.1007/BF02295996).

    Raises:
        ConfigError: No question, or sets of different length.
    """
    if not len(first) == len(second) == len(pictures) or not len(first):
        raise ConfigError(f"expected answers to the same questions, got {len(first)} and {len(second)}")
    ours, theirs = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    steps = ours - theirs
    only_first, only_second = int((steps > 0).sum()), int((steps < 0).sum())
    changed = only_first + only_second
    p_value = float(stats.binomtest(only_first, changed).pvalue) if changed else 1.0
    low, high = _interval(steps, pictures)
    return Paired(100 * float(steps.mean()), 100 * low, 100 * high, only_first, only_second, p_value)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for as many tests as there are values (Holm 1979), in the same order."""
    values = np.asarray(p_values, dtype=float)
    order = np.argsort(values, kind="stable")
    steps = values[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(values) else steps
    return [float(one) for one in adjusted]


def _interval(steps: np.ndarray, pictures: Sequence[str]) -> tuple[float, float]:
    names, place = np.unique(np.asarray(pictures, dtype=str), return_inverse=True)
    if len(names) < 2:
        return -1.0, 1.0  # one picture says nothing about others
    sums = np.bincount(place, weights=steps, minlength=len(names))
    sizes = np.bincount(place, minlength=len(names)).astype(float)
    generator = np.random.default_rng(_SEED)
    drawn = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), size=_RESAMPLES)
    low, high = np.quantile((drawn @ sums) / (drawn @ sizes), (0.025, 0.975))
    return float(low), float(high)
