"""Solves every calibrated stand-in again, for ``focal reproduce calibrate``.

Stages: the main rows; the three rows behind the published tile-length histogram together with it; the spread
of tiles around their mean; the INT8 rows and the m-tile and block sweeps, started from the main row; the
vector-size sweep, of which only one layer is published. The same inputs give the same files, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import ConfigError
from focal_simulator.calibration.cases import (
    PublishedLengths,
    VectorPoint,
    read_cases,
    read_published_lengths,
    read_vector_points,
)
from focal_simulator.calibration.model import CEILING, PRIOR_TERMS, Case, rounded_totals, shares
from focal_simulator.calibration.solver import solve_case, solve_pooled, solve_spread, tile_statistics
from focal_traces.counts.trace import GemmTotals
from focal_traces.header.schema import GEMMS, QWEN2_7B
from focal_traces.synthetic.calibrated import RECIPE_SUFFIX, Recipe, write_recipe
from focal_traces.synthetic.tile_spread import TileSpread

Reals = NDArray[np.float64]
Solved = list[tuple[Case, Reals, GemmTotals]]

_HISTOGRAM_MODEL = "llava_vid"
_VECTOR_DATASET, _VECTOR_BLOCK, _VECTOR_GEMM = "mlvu", 9, "o_proj"
_MAIN_VECTOR_SIZE = 32
_BETWEEN_GROUPS = 0.86
"""Part of the published standard deviation that lies between (layer, GEMM) means; assumed: it leaves room for
the spread inside them that the published utilisation needs."""
_PASSES = 2
"""Passes over mean and spread; the spread drops the shortest tiles, which moves the mean by under 1 %."""
_DECIMALS = 6


def solve_all(root: Path) -> dict[str, Recipe]:
    """Return every recipe by its path below the trace root.

    Args:
        root: Folder with the published tables and claims.
    """
    cases = read_cases(root)
    points = _vector_points(root)
    main = {(case.model, case.dataset): case for case in cases if case.folder == "focus_main"}
    solution = {pair: solve_case(case) for pair, case in main.items()}
    spread = _solve_histogram(main, solution, read_published_lengths(root), points[_MAIN_VECTOR_SIZE])

    recipes = {}
    for case in cases:
        pair = (case.model, case.dataset)
        related = solution[pair]
        parameters = related if case.folder == "focus_main" else solve_case(case, known=(related,))
        counts = (
            _without_similarity(case) if case.block == "1x1x1" else rounded_totals(case, shares(parameters))
        )
        recipes[_name(case)] = _recipe(case, parameters, counts, spread)
    swept = main[_HISTOGRAM_MODEL, _VECTOR_DATASET]
    for point in points.values():
        case, parameters, counts = _vector_stand_in(swept, solution[swept.model, swept.dataset], point)
        recipes[_name(case)] = _recipe(case, parameters, counts, spread, point.vector_size)
    return recipes


def _name(case: Case) -> str:
    stem = "_".join(part for part in (case.model, case.dataset, case.swept) if part)
    return f"{case.folder}/{stem}{RECIPE_SUFFIX}"


def _without_similarity(case: Case) -> GemmTotals:
    """Return counts of the schedule alone: a block of one token has nobody to be similar to."""
    counts = rounded_totals(case, np.ones((QWEN2_7B.layers, len(GEMMS))))
    return replace(counts, unique=counts.vectors)


def _solve_histogram(
    main: dict[tuple[str, str], Case],
    solution: dict[tuple[str, str], Reals],
    published: PublishedLengths,
    point: VectorPoint,
) -> TileSpread:
    """Solve the rows behind the histogram together and return the spread; updates ``solution``."""
    pairs = [
        pair for pair in main if pair[0] == _HISTOGRAM_MODEL and pair[1] in ("videomme", "mlvu", "mvbench")
    ]
    cases = [main[pair] for pair in pairs]
    anchored = pairs.index((_HISTOGRAM_MODEL, _VECTOR_DATASET))
    mean = published.mean
    spread = TileSpread(below=0.2, above=0.3, largest_share=round(CEILING, _DECIMALS), quiet_fraction=0.05)
    for _ in range(_PASSES):
        pooled = _pooled_differences(cases, mean, published.standard_deviation, anchored, point)
        for pair, found in zip(
            pairs, solve_pooled(cases, [solution[pair] for pair in pairs], pooled), strict=True
        ):
            solution[pair] = found
        recipes = [
            _recipe(case, solution[pair], rounded_totals(case, shares(solution[pair])), spread)
            for pair, case in zip(pairs, cases, strict=True)
        ]
        spread = solve_spread(recipes, published)
        settled = [recipe.model_copy(update={"tile_spread": spread}) for recipe in recipes]
        mean *= published.mean / tile_statistics(settled, published.minimum)["mean"]
    return spread


def _pooled_differences(
    cases: Sequence[Case], mean: float, deviation: float, anchored: int, point: VectorPoint
) -> Callable[[Sequence[GemmTotals]], Sequence[float]]:
    """Return the differences of the pool: mean tile, spread between groups, and the one published layer."""
    entries = [-(-case.tokens // case.m_tile) for case in cases]

    def differences(counts: Sequence[GemmTotals]) -> Sequence[float]:
        weights = np.concatenate(
            [(tiles * total.slices).ravel() for tiles, total in zip(entries, counts, strict=True)]
        )
        lengths = np.concatenate([total.unique.ravel() for total in counts]) / weights
        average = float((lengths * weights).sum() / weights.sum())
        between = float(np.sqrt((weights * (lengths - average) ** 2).sum() / weights.sum()))
        one = counts[anchored]
        place = _VECTOR_BLOCK, GEMMS.index(_VECTOR_GEMM)
        rows = float(one.unique[place] / one.slices[place])
        # The layer comes from another run of the same configuration, so it weighs less.
        return (
            average / mean - 1,
            0.1 * (between / (_BETWEEN_GROUPS * deviation) - 1),
            0.1 * (rows / point.computed_rows - 1),
        )

    return differences


def _vector_points(root: Path) -> dict[int, VectorPoint]:
    width = QWEN2_7B.input_elements(_VECTOR_GEMM)
    points = read_vector_points(root, macs_per_row=width * QWEN2_7B.hidden_elements, bytes_per_row=2 * width)
    if _MAIN_VECTOR_SIZE not in {point.vector_size for point in points}:
        raise ConfigError(f"{root / 'claims.csv'}: dse_vector has no subject {_MAIN_VECTOR_SIZE}")
    return {point.vector_size: point for point in points}


def _vector_stand_in(main: Case, parameters: Reals, point: VectorPoint) -> tuple[Case, Reals, GemmTotals]:
    """Return counts of another vector size: the main prior, shifted so that the published layer is exact."""
    case = replace(
        main,
        folder="vector_size_dse",
        swept=str(point.vector_size),
        source=f"published Focus artifact, dse_vector, {point.vector_size}: "
        f"{_VECTOR_GEMM} of block {_VECTOR_BLOCK} only; all else is the main prior, shifted",
    )
    place = _VECTOR_BLOCK, GEMMS.index(_VECTOR_GEMM)
    wanted = point.computed_rows / int(case.tokens[place])

    def logit(share: float) -> float:
        return float(np.log(share / (CEILING - share)))

    shifted = parameters.copy()
    shifted[: len(GEMMS)] += logit(wanted) - logit(float(shares(parameters)[place]))
    counts = rounded_totals(case, shares(shifted), point.vector_size)
    slices = int(counts.slices[place])
    counts.unique[place] = point.computed_rows * slices + (
        slices // 2 if point.stored_rows > point.computed_rows else 0
    )
    return case, shifted, counts


def _recipe(
    case: Case,
    parameters: Reals,
    counts: GemmTotals,
    spread: TileSpread,
    vector_size: int = _MAIN_VECTOR_SIZE,
) -> Recipe:
    terms = parameters.reshape(len(PRIOR_TERMS), len(GEMMS))
    return Recipe(
        model=case.model,
        dataset=case.dataset,
        variant=f"{case.folder}/{case.swept}" if case.swept else case.folder,
        target=case.source,
        visual_tokens=case.visual_tokens,
        frames=case.frames,
        patches_per_frame=case.patches,
        selected_layers=case.schedule.layers,
        alpha_list=case.schedule.alphas,
        similarity_threshold=case.similarity_threshold,
        m_tile=case.m_tile,
        vector_size=vector_size,
        block=case.block,
        tile_spread=spread,
        unique_vectors={
            gemm: tuple(int(value) for value in counts.unique[:, place]) for place, gemm in enumerate(GEMMS)
        },
        prior={
            gemm: tuple(round(float(value), _DECIMALS) for value in terms[:, place])
            for place, gemm in enumerate(GEMMS)
        },
    )


def write_all(root: Path, output: Path) -> list[Path]:
    """Solve every stand-in and write its recipe; returns the paths written.

    Args:
        root: Folder with the published tables and claims.
        output: Trace root to write into.
    """
    paths = []
    for name, recipe in solve_all(root).items():
        write_recipe(recipe, output / name)
        paths.append(output / name)
    return paths
