"""Is a row of a study the same as a single run, bit for bit, and is each outcome a row?"""

from pathlib import Path

import pytest

from focal_common.errors import RunError
from focal_simulator.hardware_files import build_accelerator, hardware_tree
from focal_simulator.loading import load_workloads
from focal_simulator.runner import Settings, run_all
from focal_simulator.sweep.hardware_points import PointHardware
from focal_simulator.sweep.metrics import CHIP_METRICS, RUN_METRICS, joined
from focal_simulator.sweep.plan import study_fidelity
from focal_simulator.sweep.rows import INDEX, TEXT_COLUMNS, read_rows
from focal_simulator.sweep.study import read_study
from focal_traces.root import TraceRoot
from simulator_support import PUBLISHED_ROOT
from sweep_support import grid_study, run_study


def test_rows_equal_single_runs_bit_for_bit(tmp_path: Path) -> None:
    result = run_study(grid_study(), tmp_path / "out")
    assert len(result.rows) == 24
    workloads = load_workloads(TraceRoot.open(PUBLISHED_ROOT), ["llava_vid"], ["mvbench"])
    fields = ["core.scatter_vectors", "tiles.n_tile", "core.array_rows", "core.array_columns"]
    for row in result.rows:
        overrides = tuple(f"{field}={row[field]}" for field in fields)
        single = run_all(
            Settings(("focus",), fidelity="parity", sram="cacti", overrides=overrides), workloads
        )
        one = single.runs[0].result
        assert [row[name] for name in RUN_METRICS] == [metric.of(one) for metric in RUN_METRICS.values()]
        assert row["origin"] == single.runs[0].row["origin"]
        assert row["sram_model"] == single.runs[0].row["sram_model"]


def test_hardware_put_together_equals_hardware_read_again() -> None:
    quick = PointHardware("focus", hardware_tree("focus"), "focus.yaml")
    settings = {"core.scatter_vectors": 3, "tiles.m_tile": 512, "clock": 4e8, "components.l2_norm.count": 2}
    overrides = [
        "core.scatter_vectors=3",
        "tiles.m_tile=512",
        "clock=400000000.0",
        "components.l2_norm.count=2",
    ]
    assert quick.accelerator(settings).hardware == build_accelerator("focus", overrides=overrides).hardware
    assert quick.accelerator({}).hardware == build_accelerator("focus").hardware


def test_traces_follow_method_parameters_and_accuracies_are_those_of_the_table(tmp_path: Path) -> None:
    study, _ = read_study("dse_c_block_size")
    rows = {row["block"]: row for row in run_study(study, tmp_path / "out").rows}
    assert rows["2x2x2"]["accuracy"] == 72.2
    assert rows["1x1x1"]["total_cycles"] > rows["2x2x2"]["total_cycles"] > rows["3x3x3"]["total_cycles"]


def test_points_outside_limits_and_points_that_fail_are_rows_with_a_reason(tmp_path: Path) -> None:
    axes = [{"field": "core.scatter_vectors", "values": [1, 2, 5, 6]}]
    study = grid_study(axes=axes, constraints=[{"metric": "area_mm2", "at_most": 3.2}])
    result = run_study(study, tmp_path / "out")
    assert [row["status"] for row in result.rows] == ["ok", "ok", "infeasible", "failed"]
    assert "area_mm2 is 4.3" in result.rows[2]["reason"]
    # The area decides, so nothing was simulated.
    assert result.rows[2]["seconds"] is None
    assert "extra_read_ports must be 0 to 4" in result.rows[3]["reason"]
    assert read_rows([tmp_path / "out" / "results.parquet"]) == result.rows


def test_the_node_of_the_buffers_is_an_axis_where_the_cost_model_covers_it(tmp_path: Path) -> None:
    axes = [
        {"field": "sram.model", "values": ["cacti", "compiler"]},
        {"field": "sram_node", "values": [0.028, 0.045]},
    ]
    rows = run_study(grid_study(axes=axes), tmp_path / "out").rows
    assert [row["status"] for row in rows] == ["ok", "ok", "ok", "failed"]
    assert rows[1]["buffer_area_mm2"] > 2 * rows[0]["buffer_area_mm2"]
    assert "macros exist for sram_node 0.028 only, got 0.045" in rows[3]["reason"]


def test_a_point_without_a_value_of_an_objective_is_a_failed_row(tmp_path: Path) -> None:
    study, _ = read_study("dse_c_block_size")
    # The base design takes the main trace, whose accuracy the table of the sweep does not hold.
    rows = run_study(study.model_copy(update={"include_base": True}), tmp_path / "out").rows
    assert (rows[0]["status"], rows[0]["reason"]) == ("failed", "accuracy is not known for this point")
    assert {row["status"] for row in rows[1:]} == {"ok"}


def test_no_feasible_point_is_said_and_the_rows_stay(tmp_path: Path) -> None:
    study = grid_study(constraints=[{"metric": "area_mm2", "at_most": 0.1}])
    with pytest.raises(RunError, match=r"no point is feasible \(24 outside the limits, 0 failed\)") as error:
        run_study(study, tmp_path / "out")
    assert error.value.exit_code == 1
    assert len(read_rows([tmp_path / "out" / "results.parquet"])) == 24
    missing = grid_study(
        name="none",
        accelerator="cmc",
        workloads=["llava_onevision/mme"],
        axes=[{"field": "clock", "values": [1e8, 2e8]}],
        sram="auto",
    )
    with pytest.raises(RunError, match=r"all 2 points failed; the first: cmc: .* has no CMC sparsity"):
        run_study(missing, tmp_path / "none")


def test_the_columns_of_a_level_are_known_before_anything_runs(tmp_path: Path) -> None:
    study = grid_study(fidelity="cycle", axes=[{"field": "core.scatter_vectors", "values": [2]}])
    (row,) = run_study(study, tmp_path / "out").rows
    known = {INDEX, *TEXT_COLUMNS, *RUN_METRICS, *CHIP_METRICS, "core.scatter_vectors"}
    # Texts stay out of the rows.
    assert set(row) - known == {*study_fidelity(study).column_names()} - {"corrections"}


def test_several_workloads_are_joined_by_geometric_means_and_kept_beside() -> None:
    def run(scale: float) -> dict[str, float]:
        return dict.fromkeys(RUN_METRICS, scale)

    found = joined([run(1.0), run(4.0)])
    assert found["seconds"] == pytest.approx(2.0)
    assert found["stall_cycles"] == 2.5
    assert joined([run(3.0)]) == run(3.0)


def test_each_workload_has_its_own_columns(tmp_path: Path) -> None:
    study = grid_study(
        workloads=["llava_vid/mvbench", "minicpm_v/mvbench"],
        axes=[{"field": "core.scatter_vectors", "values": [1, 2]}],
    )
    (first, _) = run_study(study, tmp_path / "out").rows
    parts = [first[f"{pair}:seconds"] for pair in ("llava_vid/mvbench", "minicpm_v/mvbench")]
    assert first["seconds"] == pytest.approx((parts[0] * parts[1]) ** 0.5)
