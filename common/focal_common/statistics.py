"""95 % intervals of scores, and whether two sets of answers to the same questions differ.

Questions about one picture are right or wrong together; where pictures are given, whole pictures are resampled.
numpy and scipy are loaded at the first call: importing this module costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from focal_common.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_Z = 1.959963984540054
"""97.5 % quantile of the normal distribution."""

_RESAMPLES = 9999
_SEED = 0


@dataclass(frozen=True)
class Accuracy:
    """A mean score with its 95 % interval.

    Attributes:
        mean: In [0, 1].
        low: Lower end of the interval.
        high: Upper end.
        questions: Number of questions.
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
        second: Mean score of the second run.
        difference: First minus second.
        low: Lower end of its 95 % interval, paired bootstrap over pictures.
        high: Upper end.
        only_first: Questions that only the first run answered right; None where scores are not 0 or 1.
        only_second: Questions that only the second run answered right; None likewise.
        p_value: McNemar's exact test, two-sided; None likewise.
        questions: Number of questions.
        pictures: Number of pictures they are about.
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


def wilson(right: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a proportion (Wilson 1927, doi 10.2307/2276774); (0, 1) of none."""
    if not total:
        return 0.0, 1.0
    from scipy import stats

    interval = stats.binomtest(right, total).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def accuracy(scores: Sequence[float], pictures: Sequence[str]) -> Accuracy:
    """Return the mean score with its 95 % interval.

    Args:
        scores: One per question. All 0 or 1: Wilson's interval; else bootstrap over pictures.
        pictures: What each question is about.

    Raises:
        ConfigError: There are no questions.
    """
    values = _asked(scores)
    if _is_binary(values):
        low, high = wilson(int(values.sum()), len(values))
    else:
        low, high = _clustered(values, pictures)
    return Accuracy(float(values.mean()), low, high, len(values))


def clustered_interval(scores: Sequence[float], pictures: Sequence[str]) -> tuple[float, float]:
    """Return the 95 % interval of a mean score by bootstrap over pictures, percentiles, within [0, 1].

    Args:
        scores: One per question.
        pictures: What each question is about.

    Raises:
        ConfigError: There are no questions.
    """
    low, high = _clustered(_asked(scores), pictures)
    return max(low, 0.0), min(high, 1.0)


def compared(first: Sequence[float], second: Sequence[float], pictures: Sequence[str]) -> Comparison:
    """Compare two runs question by question.

    McNemar's test in its exact form, a binomial test of the questions that only one run answered right (McNemar
    1947, doi 10.1007/BF02295996), takes questions as independent; the bootstrap of the difference does not.

    Args:
        first: Scores of the first run.
        second: Scores of the second run on the same questions.
        pictures: What each question is about.

    Raises:
        ConfigError: There are no questions, or the runs have different numbers of them.
    """
    if not len(first) or not len(first) == len(second) == len(pictures):
        raise ConfigError(
            f"{len(first)} and {len(second)} questions cannot be paired; expected equal, above 0"
        )
    import numpy as np

    ours, theirs = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    low, high = _clustered(ours - theirs, pictures)
    only_first = only_second = p_value = None
    if _is_binary(ours) and _is_binary(theirs):
        from scipy import stats

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


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for as many tests as there are values (Holm 1979), in the same order."""
    adjusted, worst = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda one: p_values[one])):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = worst
    return adjusted


def paired_difference(
    first: Sequence[float], second: Sequence[float], clusters: Sequence[int] | None = None
) -> tuple[float, float, float]:
    """Return the mean of first - second on the same questions, with its 95 % interval (normal approximation).

    Args:
        first: Of each question, 1 if right; or the chance to be right.
        second: The same under another condition.
        clusters: Which picture each question is about (Liang and Zeger 1986, doi 10.1093/biomet/73.1.13); all
            independent if None.
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


def bootstrap_interval(data: Sequence[Any], statistic: Callable[..., Any]) -> tuple[float, float]:
    """Return the 95 % interval of a statistic by percentiles of 9,999 resamples, seed 0.

    Args:
        data: Arrays whose entries, such as one per picture, are drawn together.
        statistic: Of these arrays and ``axis``, the axis of the drawn entries.
    """
    import numpy as np
    from scipy import stats

    found = stats.bootstrap(
        tuple(data),
        statistic,
        paired=True,
        vectorized=True,
        n_resamples=_RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(_SEED),
        batch=256,
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def _asked(scores: Sequence[float]) -> NDArray[np.float64]:
    if not len(scores):
        raise ConfigError("no question was asked; expected at least one")
    import numpy as np

    return np.asarray(scores, dtype=float)


def _clustered(values: NDArray[np.float64], pictures: Sequence[str]) -> tuple[float, float]:
    import numpy as np

    names, place = np.unique(np.asarray(pictures, dtype=str), return_inverse=True)
    if len(names) < 2:
        return -1.0, 1.0  # one picture says nothing about others
    sums = np.bincount(place, weights=values, minlength=len(names))
    sizes = np.bincount(place, minlength=len(names)).astype(float)
    mean = float(values.mean())
    if np.allclose(sums, mean * sizes, rtol=0, atol=1e-15):
        return mean, mean  # every picture has the same mean, so every resample does

    def ratio(sums: Any, sizes: Any, axis: int = -1) -> Any:
        return sums.sum(axis=axis) / sizes.sum(axis=axis)

    return bootstrap_interval((sums, sizes), ratio)


def _is_binary(values: NDArray[np.float64]) -> bool:
    return bool(((values == 0) | (values == 1)).all())
