"""Do the committed rows of the study better_focus come from this engine, and does the page follow from them?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from focal_common.errors import ConfigError
from focal_evaluation.better_focus_page import page, read_rows
from focal_simulator.cycle.simulate import simulate_cycles
from focal_simulator.hardware_files import build_accelerator
from focal_simulator.loading import load_workloads
from focal_traces.root import TraceRoot
from simulator_support import PUBLISHED_ROOT

REPOSITORY = Path(__file__).parents[3]
POINTS = REPOSITORY / "example_output" / "better_focus" / "points.csv"


def test_the_committed_page_follows_from_the_committed_rows() -> None:
    committed = (REPOSITORY / "docs" / "better_focus.md").read_text(encoding="utf-8")
    # The section on loop orders follows; test_loop_order_section.py makes it again.
    assert committed.startswith(page(read_rows(POINTS))), (
        "run: focal reproduce better-focus --output docs/better_focus.md"
    )


def test_the_page_gives_the_mean_without_its_outlier_and_says_why_the_m_tiles_are_these() -> None:
    text = page(read_rows(POINTS))
    lines = [line.split("|") for line in text.splitlines() if "| " in line and "/" in line.split("|")[1]]
    speeds = [float(line[2].strip().removesuffix(" x")) for line in lines if line[1].count("/") == 1]
    *workloads, without = speeds[-10:]
    others = sorted(workloads)[:-1]
    assert without == pytest.approx(float(np.exp(np.mean(np.log(others)))), abs=2e-3)
    assert f"the other 8 gain {others[0]:.3f} to {others[-1]:.3f} x" in text
    assert "The m-tile is 1,024 and 2,048 only" in text


@pytest.mark.parametrize(
    ("overrides", "choice"),
    [
        ([], {"weights": "single", "n_tile": 96, "lanes": "1"}),
        (
            [
                "dataflow.is_weight_double_buffered=true",
                "components.systolic_array.area=1.47666115",
                "components.systolic_array.power=330.855462",
                "tiles.n_tile=64",
                "core.gather_block=4",
                "components.cosine_similarity.count=2",
            ],
            {"weights": "double", "n_tile": 64, "lanes": "2"},
        ),
    ],
)
def test_rows_are_those_of_single_runs(overrides: list[str], choice: dict[str, object]) -> None:
    rows = read_rows(POINTS)
    row = rows[
        (rows["weights"] == choice["weights"])
        & (rows["tiles.n_tile"] == choice["n_tile"])
        & (rows["gather_lanes"] == choice["lanes"])
        & (rows["core.scatter_vectors"] == 2)
        & (rows["tiles.m_tile"] == 1024)
    ].iloc[0]
    workload = load_workloads(TraceRoot.open(PUBLISHED_ROOT), ["minicpm_v"], ["mvbench"])[0]
    result = simulate_cycles(build_accelerator("focus", overrides=overrides), workload, "cacti")
    assert result.seconds == row["minicpm_v/mvbench:seconds"]
    assert result.total_mj == pytest.approx(row["minicpm_v/mvbench:total_mj"], rel=1e-12)


def test_another_table_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="expected rows of better_focus"):
        read_rows(tmp_path / "other.csv")
