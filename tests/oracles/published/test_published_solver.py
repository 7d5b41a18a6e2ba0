"""Does the calibration find counts for a row whose answer is known, and the committed counts again?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from focal_simulator.calibration.cases import read_cases
from focal_simulator.calibration.model import Case, rounded_totals, shares, simulated
from focal_simulator.calibration.solve import write_all
from focal_simulator.calibration.solver import solve_case
from focal_traces.header.schema import GEMMS
from focal_traces.synthetic.calibrated import read_recipe
from published_support import RECIPES, ROOT


def _case(folder: str, model: str, dataset: str) -> Case:
    (found,) = (
        case
        for case in read_cases(ROOT)
        if (case.folder, case.model, case.dataset, case.swept) == (folder, model, dataset, "")
    )
    return found


def test_a_row_made_from_known_counts_is_met_again() -> None:
    truth = np.array([[1.5, 0.2, 1.0, 0.8, 0.5], [0.3, -0.2, 0.1, 0.2, 0.0], [-0.5, 0.0, 0.3, -0.4, -0.2]])
    case = _case("focus_main", "minicpm_v", "videomme")
    case = replace(case, target=simulated(case, rounded_totals(case, shares(truth.ravel()))))
    found = simulated(case, rounded_totals(case, shares(solve_case(case))))
    assert np.abs(found.over(case.target)).max() < 1e-3


@pytest.mark.parametrize("dataset", ["videomme", "mlvu"])
def test_solving_again_gives_the_committed_counts(dataset: str) -> None:
    case = _case("focus_main", "minicpm_v", dataset)
    counts = rounded_totals(case, shares(solve_case(case)))
    recipe = read_recipe(ROOT / "focus_main" / f"minicpm_v_{dataset}.calibrated.json")
    committed = np.array([recipe.unique_vectors[gemm] for gemm in GEMMS]).T
    np.testing.assert_allclose(counts.unique, committed, rtol=0.02)


@pytest.mark.slow
def test_solving_everything_again_gives_the_same_bytes(tmp_path: Path) -> None:
    write_all(ROOT, tmp_path)
    for path in RECIPES:
        again = tmp_path / path.relative_to(ROOT)
        assert again.read_bytes() == path.read_bytes(), path.name
