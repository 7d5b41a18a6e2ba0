"""Do twins set both fidelities side by side, with the change of each number?"""

from __future__ import annotations

from pathlib import Path

import pytest

from exhibit_support import cycle_folder, result_row, write_table
from focal_evaluation.claims.results import Results, open_results
from focal_evaluation.exhibits.base import DONE
from focal_evaluation.exhibits.command import make_exhibits
from focal_evaluation.exhibits.make import make_all
from focal_evaluation.exhibits.registry import EXHIBITS
from published_support import ROOT


@pytest.fixture
def both(tmp_path: Path) -> Results:
    """Results of both fidelities in one folder; Focus is a quarter slower in cycle."""
    folder = cycle_folder(tmp_path / "run")
    for method, cycles in (("dense", 4000), ("focus", 800)):
        write_table(folder, method, [result_row("m", name, method, cycles) for name in ("x", "y")])
    return open_results(folder, ROOT, "parity")


def test_each_number_has_its_change(both: Results) -> None:
    frame = EXHIBITS.load("twin9a").table(both).frame
    focus = frame[(frame["method"] == "focus") & (frame["model"] == "m")]
    speedups = focus.set_index(["fidelity", "dataset"])["speedup_over_dense"]
    assert speedups.to_dict() == pytest.approx(
        {("parity", "x"): 5.0, ("parity", "y"): 5.0, ("cycle", "x"): 4.0, ("cycle", "y"): 4.0}
    )
    assert focus["speedup_over_dense_change_percent"].tolist() == pytest.approx([-20.0] * 4)


def test_sparsity_changes_in_points(both: Results) -> None:
    frame = EXHIBITS.load("twin2").table(both).frame
    focus = frame[(frame["method"] == "focus") & (frame["dataset"] == "x")]
    # 80 % and 75 %.
    assert focus["sparsity_percent_change_points"].tolist() == pytest.approx([-5.0] * 2)


def test_twins_are_drawn(both: Results, tmp_path: Path) -> None:
    made = make_all(["twin9b", "twin11", "twin2"], both, tmp_path / "out", ("png",))
    assert [item.status for item in made] == [DONE] * 3
    assert not list((tmp_path / "out").glob("*_claims.csv"))


def test_a_folder_without_cycle_results_has_no_twins(tmp_path: Path) -> None:
    write_table(tmp_path / "run", "dense", [result_row("m", "x", "dense")])
    with pytest.raises(ValueError, match="no results of fidelity cycle"):
        make_exhibits(["twin9a"], str(tmp_path / "run"), "", ROOT, tmp_path / "out", False, "png")
