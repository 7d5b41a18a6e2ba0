"""Accuracy with its interval, and whether two runs differ on the same questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from focal_common.errors import ConfigError

__all__ = ["Accuracy", "Comparison", "accuracy", "clustered_interval", "compared"]

_RESAMPLES = 9999
_SEED = 0


@dataclass(frozen=True)
class Accuracy:
    """A mean score.

    Attributes:
        mean: In [0, 1].
        low: Of the 95 % interval.
        high: Likewise.
        questions: How many.
    """

    mean: float
    low: float
    high: float
    questions: int


@dataclass(frozen=True)
class Comparison:
    """Two runs on the same questions.

    Attributes:
        first: Mean score of the first run.
        second: Likewise.
        difference: First minus second.
        low: Of its 95 % interval, paired bootstrap over pictures.
        high: Likewise.
        only_first: Questions that only the first run answered right; None where scores are not 0 or 1.
        only_second: Likewise.
        p_value: Of McNemar's exact test, two-sided; None likewise.
        questions: How many.
        pictures: How many pictures they are about.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float
    only_first: int | None
    only_second: int | None
    p_value: float | None
    questions: int
    pictures: int


def accuracy(scores: Sequence[float], pictures: Sequence[str]) -> Accuracy:
    """Return the mean score with its 95 % interval.

    Args:
        scores: One per question. All 0 or 1: Wilson's interval (Wilson 1927, doi 10.2307/2276774); else bootstrap
            over pictures, percentiles.
        pictures: What each question is about.

    Raises:
        ConfigError: There are no questions.
    """
    if not scores:
        raise ConfigError("no question was asked; expected at least one")
    values = np.asarray(scores, dtype=float)
    if _is_binary(values):
        interval = stats.binomtest(int(values.sum()), len(values)).proportion_ci(0.95, method="wilson")
        return Accuracy(float(values.mean()), float(interval.low), float(interval.high), len(values))
    low, high = _bootstrap(values, pictures)
    return Accuracy(float(values.mean()), low, high, len(values))


def clustered_interval(scores: Sequence[float], pictures: Sequence[str]) -> tuple[float, float]:
    """Return the 95 % interval of a mean score by bootstrap over pictures, percentiles.

    Wider than that of independent questions where those about one picture are right or wrong together.

    Args:
        scores: One per question.
        pictures: What each question is about.

    Raises:
        ConfigError: There are no questions.
    """
    if not scores:
        raise ConfigError("no question was asked; expected at least one")
    low, high = _bootstrap(np.asarray(scores, dtype=float), pictures)
    return max(low, 0.0), min(high, 1.0)


def compared(first: Sequence[float], second: Sequence[float], pictures: Sequence[str]) -> Comparison:
    """Compare two runs question by question.

    McNemar's test in its exact form, a binomial test of the questions that only one run answered right (McNemar
    1947, doi 10.1007/BF02295996); paired bootstrap of the difference, resampling whole pictures with all their
    questions, because questions about one picture are not independent.

    Args:
        first: Scores of the first run.
        second: Scores of the second run on the same questions.
        pictures: What each question is about.
    """
    if not first or len(first) != len(second):
        raise ConfigError(
            f"{len(first)} and {len(second)} questions cannot be paired; expected equal, above 0"
        )
    ours, theirs = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    low, high = _bootstrap(ours - theirs, pictures)
    only_first = only_second = p_value = None
    if _is_binary(ours) and _is_binary(theirs):
        only_first, only_second = int((ours > theirs).sum()), int((theirs > ours).sum())
        changed = only_first + only_second
        p_value = float(stats.binomtest(only_first, changed).pvalue) if changed else 1.0
    return Comparison(
        first=float(ours.mean()),
        second=float(theirs.mean()),
        difference=float((ours - theirs).mean()),
        low=low,
        high=high,
        only_first=only_first,
        only_second=only_second,
        p_value=p_value,
        questions=len(ours),
        pictures=len(set(pictures)),
    )


def _bootstrap(values: NDArray[np.float64], pictures: Sequence[str]) -> tuple[float, float]:
    names, place = np.unique(np.asarray(pictures, dtype=str), return_inverse=True)
    sums = np.bincount(place, weights=values, minlength=len(names))
    sizes = np.bincount(place, minlength=len(names)).astype(float)
    mean = float(values.mean())
    if len(names) < 2 or np.allclose(sums, mean * sizes, rtol=0, atol=1e-15):
        # Nothing varies between pictures: resampling gives one value, and one picture says nothing about others.
        return (mean, mean) if len(names) >= 2 else (-1.0, 1.0)
    found = stats.bootstrap(
        (sums, sizes),
        _ratio,
        paired=True,
        vectorized=True,
        n_resamples=_RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(_SEED),
        batch=256,
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def _ratio(sums: NDArray[np.float64], sizes: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = sums.sum(axis=axis) / sizes.sum(axis=axis)
    return ratio


def _is_binary(values: NDArray[np.float64]) -> bool:
    return bool(np.isin(values, (0.0, 1.0)).all())
