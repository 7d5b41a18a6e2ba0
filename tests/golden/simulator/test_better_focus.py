"""Do the committed rows of the study better_focus come from this engine, and the table of designs from them?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from focal.studies.better_focus.designs import compare_designs, write_designs
from focal_common.errors import ConfigError
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.engine.cycle.simulate import simulate_cycles
from focal_simulator.workload.loading import load_workloads, with_trace
from focal_traces.root.root import TraceRoot
from simulator_support import PUBLISHED_ROOT

REPOSITORY = Path(__file__).parents[3]
DOUBLED = ["dataflow.is_weight_double_buffered=true"]
POINTS = REPOSITORY / "example_output" / "better_focus" / "points.csv"


def test_the_committed_designs_are_those_of_the_committed_rows(tmp_path: Path) -> None:
    assert write_designs(POINTS, tmp_path).read_bytes() == POINTS.with_name("designs.csv").read_bytes(), (
        "run: focal reproduce better-focus --output example_output/better_focus"
    )


def test_gains_are_over_the_published_design_and_the_front_is_what_none_beats() -> None:
    designs = compare_designs(POINTS)
    workloads = [name for name in designs.columns if name.endswith(":speedup")]
    assert len(workloads) == 9
    # The study keeps geometric means, so the gain of the mean is the mean of the gains.
    np.testing.assert_allclose(np.exp(np.log(designs[workloads]).mean(axis=1)), designs["speedup"], rtol=1e-9)
    assert (designs["speedup"] == 1).sum() >= 1
    front = designs[designs["is_on_front"]]
    for _, row in designs[~designs["is_on_front"]].iterrows():
        beats = (front[["seconds", "total_mj", "area_mm2"]] <= row[["seconds", "total_mj", "area_mm2"]]).all(
            axis=1
        )
        assert beats.any()


@pytest.mark.parametrize(
    ("overrides", "choice"),
    [
        ([], {"weights": "single", "n_tile": 96, "lanes": "1"}),
        (
            [
                *DOUBLED,
                "tiles.n_tile=64",
                "core.gather_lanes=2",
            ],
            {"weights": "double", "n_tile": 64, "lanes": "2"},
        ),
    ],
)
def test_rows_are_those_of_single_runs(overrides: list[str], choice: dict[str, object]) -> None:
    rows = pd.read_csv(POINTS, dtype={"gather_lanes": str})
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


@pytest.mark.parametrize(
    ("m_tile", "n_tile", "weights"), [(1024, 96, "single"), (512, 192, "double"), (128, 768, "single")]
)
def test_split_rows_are_those_of_single_runs(m_tile: int, n_tile: int, weights: str) -> None:
    rows = pd.read_csv(POINTS.with_name("split_points.csv"))
    row = rows[
        (rows["m_tile"] == m_tile) & (rows["tiles.n_tile"] == n_tile) & (rows["weights"] == weights)
    ].iloc[0]
    overrides = [
        f"tiles.m_tile={m_tile}",
        f"tiles.n_tile={n_tile}",
        *(DOUBLED if weights == "double" else []),
    ]
    root = TraceRoot.open(PUBLISHED_ROOT)
    main = load_workloads(root, ["llava_vid"], ["videomme"])[0]
    trace = root.open_trace("llava_vid", "videomme", "m_tile_size_dse", str(m_tile))
    result = simulate_cycles(
        build_accelerator("focus", overrides=overrides), with_trace(main, trace, "m_tile_size_dse"), "cacti"
    )
    assert result.seconds == row["seconds"]
    assert result.dram_bytes == row["dram_bytes"]
    assert result.total_mj == pytest.approx(row["total_mj"], rel=1e-12)


def test_another_table_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="expected rows of better_focus"):
        compare_designs(tmp_path / "other.csv")
