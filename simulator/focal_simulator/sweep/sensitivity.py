"""How much each axis, and each pair of axes, moves a metric: main effects and pairwise interactions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from focal_simulator.sweep.rows import Row


@dataclass(frozen=True, slots=True)
class Effects:
    """Sensitivity of one metric.

    Attributes:
        axes: Names of the axes that take more than one level.
        main: Share of the variance that each axis alone explains, axis (axes).
        pairs: Share that two axes explain together beyond their main effects, axes (axes, axes), symmetric.
        is_exact: Whether every combination of levels occurs equally often, so that the shares are those of an
            analysis of variance without error; else they are estimates, corrected for chance.
    """

    axes: tuple[str, ...]
    main: NDArray[np.float64]
    pairs: NDArray[np.float64]
    is_exact: bool


def effects(rows: Sequence[Row], axes: Sequence[str], metric: str) -> Effects:
    """Return main effects and pairwise interactions of a metric over feasible rows.

    Shares are those of a functional analysis of variance (I. Sobol, Math. Comput. Simul. 55, 2001): the variance of
    the means over the levels, by the whole variance. From an unbalanced sample each share is lowered by what chance
    alone would give (epsilon squared; T. Kelley, PNAS 21, 1935).

    Args:
        rows: With a value of ``metric`` each.
        axes: Columns to look at; those with one level are left out.
        metric: Column.
    """
    values = np.array([float(row[metric]) for row in rows])
    levels = {name: list(dict.fromkeys(str(row[name]) for row in rows)) for name in axes}
    names = tuple(name for name in axes if len(levels[name]) > 1)
    codes = {name: np.array([levels[name].index(str(row[name])) for row in rows]) for name in names}
    counts = [len(levels[name]) for name in names]
    total = int(np.prod(counts, dtype=np.int64))
    cells = np.unique(np.column_stack([codes[name] for name in names]), axis=0) if names else np.empty((0, 0))
    is_exact = bool(names) and len(rows) == total == len(cells)
    main = np.array([_share(values, codes[name], is_exact) for name in names])
    pairs = np.zeros((len(names), len(names)))
    for first, second in itertools.combinations(range(len(names)), 2):
        both = codes[names[first]] * counts[second] + codes[names[second]]
        joint = _share(values, both, is_exact) - main[first] - main[second]
        pairs[first, second] = pairs[second, first] = max(joint, 0.0)
    return Effects(names, main, pairs, is_exact)


def _share(values: NDArray[np.float64], groups: NDArray[np.int64], is_exact: bool) -> float:
    """Return the share of the variance between groups."""
    whole = float(((values - values.mean()) ** 2).sum())
    if whole == 0:
        return 0.0
    _, places, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    means = np.bincount(places, values) / sizes
    between = float((sizes * (means - values.mean()) ** 2).sum())
    if is_exact:
        return between / whole
    left = len(values) - len(sizes)
    if left <= 0:
        return between / whole
    chance = (len(sizes) - 1) * (whole - between) / left
    return max((between - chance) / whole, 0.0)
