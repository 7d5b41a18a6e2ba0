"""Solves the prior of a stand-in for its published row, and the tile spread for the published histogram."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from focal_simulator.calibration.cases import PublishedLengths
from focal_simulator.calibration.model import (
    CEILING,
    PARAMETERS,
    PRIOR_TERMS,
    Case,
    rounded_totals,
    shares,
    simulated,
    swept_stalls,
)
from focal_simulator.results.tile_lengths import TileLengths
from focal_traces.counts.trace import GemmTotals
from focal_traces.header.schema import GEMMS
from focal_traces.synthetic.calibrated import Recipe
from focal_traces.synthetic.tile_spread import TileSpread

Reals = NDArray[np.float64]

_TOLERANCE = 3e-4
"""Relative difference that weighs as much as a pull of one on a parameter."""
_PULL = np.array([0.1, 0.1, 0.05])
"""Strength of the pull towards the neutral value, by prior term."""
_ENOUGH = 2e-4
"""A start whose largest relative difference is below this ends the search."""
_SHIFT = 20.0
"""Added to every parameter so that the relative step of the derivative is nearly an absolute one; counts are
integers, so the step must be wide."""
_STEP = 1e-3
_EVALUATIONS = 60

_ABOVE = 0.3
"""Spread towards longer tiles; assumed small, because the histogram ends steeply at its maximum."""


def _neutral(case: Case) -> Reals:
    """Return parameters without drift whose share is that of the published mean ratio."""
    share = min(0.97, 0.95 / case.target.compression_ratio) / CEILING
    share = min(share, 0.98)
    parameters = np.zeros((len(PRIOR_TERMS), len(GEMMS)))
    parameters[0] = np.log(share / (1 - share))
    return parameters.ravel()


def _starts(neutral: Reals) -> list[Reals]:
    """Return starting points: some GEMMs more similar in early layers, the others less similar throughout."""
    groups = (GEMMS, ("gate_proj",), ("down_proj",), ("q_proj", "o_proj"), ("o_proj",))
    starts = [neutral]
    for raised, depth in ((0.0, -2.0), (0.0, -4.0), (0.0, -8.0), (1.0, -5.0), (0.0, -6.0), (2.0, -7.0)):
        for group in groups:
            start = neutral.copy().reshape(len(PRIOR_TERMS), len(GEMMS))
            start[0] += raised
            start[-1] = [depth if gemm in group else 0.0 for gemm in GEMMS]
            starts.append(start.ravel())
    return starts


def _residuals(case: Case, parameters: Reals, neutral: Reals) -> Reals:
    totals = rounded_totals(case, shares(parameters))
    wanted = simulated(case, totals).over(case.target) / _TOLERANCE
    extra = np.array(swept_stalls(case, totals), dtype=np.float64) / _TOLERANCE
    return np.concatenate([wanted, extra, (parameters - neutral) * np.repeat(_PULL, len(GEMMS))])


def solve_case(case: Case, known: Sequence[Reals] = ()) -> Reals:
    """Return the prior parameters of the best of several starts.

    Args:
        case: Row to stand in for.
        known: Solutions of related rows, tried first.

    Returns:
        Parameters in the order (term, GEMM), flat.
    """
    neutral = _neutral(case)
    best: tuple[float, Reals] | None = None
    for start in [*known, *_starts(neutral)]:
        solved = least_squares(
            lambda shifted: _residuals(case, shifted - _SHIFT, neutral),
            start + _SHIFT,
            diff_step=_STEP,
            max_nfev=_EVALUATIONS,
        )
        parameters = solved.x - _SHIFT
        worst = float(np.abs(solved.fun[:-PARAMETERS]).max()) * _TOLERANCE
        if best is None or worst < best[0]:
            best = worst, parameters
        if worst < _ENOUGH:
            break
    assert best is not None  # noqa: S101  (there is at least one start)
    return best[1]


def solve_pooled(
    cases: Sequence[Case], starts: Sequence[Reals], pooled: Callable[[Sequence[GemmTotals]], Sequence[float]]
) -> list[Reals]:
    """Solve several rows together, with differences that concern all of them at once.

    Args:
        cases: Rows to stand in for.
        starts: A solution of each alone.
        pooled: Relative differences of the pool, given the counts of every case.

    Returns:
        Parameters of each case.
    """
    neutrals = [_neutral(case) for case in cases]

    def residuals(shifted: Reals) -> Reals:
        parts = np.split(shifted - _SHIFT, len(cases))
        own = [
            _residuals(case, part, neutral)
            for case, part, neutral in zip(cases, parts, neutrals, strict=True)
        ]
        counts = [rounded_totals(case, shares(part)) for case, part in zip(cases, parts, strict=True)]
        return np.concatenate([*own, np.array(pooled(counts)) / _TOLERANCE])

    solved = least_squares(
        residuals, np.concatenate(list(starts)) + _SHIFT, diff_step=_STEP, max_nfev=_EVALUATIONS
    )
    return list(np.split(solved.x - _SHIFT, len(cases)))


def tile_statistics(recipes: Sequence[Recipe], minimum: int) -> dict[str, float]:
    """Return mean, standard deviation and utilisation of the pooled tile lengths (Focus, Fig. 13).

    Counts below ``minimum`` are left out, as published.
    """
    pool = np.concatenate([recipe.expand().unique for recipe in recipes])
    kept = pool[pool >= minimum].astype(np.int64)
    return {
        "mean": float(kept.mean()),
        "standard_deviation": float(kept.std()),
        "utilisation": TileLengths(kept).utilisation(),
    }


def solve_spread(recipes: Sequence[Recipe], published: PublishedLengths) -> TileSpread:
    """Return the spread whose pooled standard deviation and utilisation are the published ones."""

    def spread(values: Reals) -> TileSpread:
        below, quiet = np.clip(values - 1, 0, [5, 0.9])
        return TileSpread(
            below=round(float(below), 6),
            above=_ABOVE,
            largest_share=round(CEILING, 6),
            quiet_fraction=round(float(quiet), 6),
        )

    def residuals(values: Reals) -> Reals:
        tried = [recipe.model_copy(update={"tile_spread": spread(values)}) for recipe in recipes]
        found = tile_statistics(tried, published.minimum)
        return np.array(
            [
                found["standard_deviation"] / published.standard_deviation - 1,
                (found["utilisation"] / published.utilisation - 1) * 10,
            ]
        )

    solved = least_squares(residuals, np.array([1.2, 1.06]), diff_step=1e-3, max_nfev=30)
    return spread(solved.x)
