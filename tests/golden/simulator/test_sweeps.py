"""Do the packaged studies of the published design spaces give the published tables, and the rows of focal sweep?"""

from __future__ import annotations

from pathlib import Path

import pytest

from focal_common.errors import TraceError
from focal_evaluation.results.published_sweeps import sweep_rows
from focal_simulator.accelerators.base import Accelerator
from focal_simulator.costs.buffer_costs import BufferCost
from focal_simulator.results.published_layout import published_design_row
from focal_simulator.results.rows import Row
from focal_simulator.sweep.run import SweepRequest, run_sweep
from focal_simulator.sweep.study import read_study
from focal_traces.root.root import TraceRoot
from simulator_support import PUBLISHED_ROOT, published_table

pytestmark = pytest.mark.golden


def rows_of(name: str) -> list[Row]:
    return sweep_rows(name, TraceRoot.open(PUBLISHED_ROOT))


def published(name: str) -> list[dict[str, str]]:
    """Return the rows as the published table has them."""
    return [
        published_design_row({column: str(cell) for column, cell in row.items()}) for row in rows_of(name)
    ]


@pytest.fixture
def without_cacti(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes as asked for, free of cost: these tests read capacities and cycles."""

    def costs(accelerator: Accelerator[object], choice: str) -> tuple[BufferCost, ...]:
        return tuple(
            BufferCost(need.name, need.size_bytes * need.copies, 1.0, 0.0, 0.0, 0.0)
            for need in accelerator.buffers()
        )

    monkeypatch.setattr("focal_evaluation.results.published_sweeps.buffer_costs", costs)


def test_the_block_of_one_vector_is_the_published_row() -> None:
    rows = {row["block_size"]: row for row in published("dse_c_block_size")}
    assert len(rows) == 9
    (theirs,) = (row for row in published_table("rows.csv") if row["run"] == "focus_1x1x1")
    for column in ("total_cycles", "total_stall_cycles", "num_ops", "total_dram_access", "total_activation"):
        assert int(rows["1x1x1"][column]) == int(theirs[column]), column
    assert float(rows["1x1x1"]["total_energy"]) == pytest.approx(float(theirs["total_energy"]), rel=1e-12)


@pytest.mark.usefixtures("without_cacti")
def test_buffer_capacities_of_the_tile_sweep_are_published_and_smaller_tiles_are_slower() -> None:
    rows = rows_of("dse_a_m_tile")
    assert {row["value"]: row["buffer_bytes"] for row in rows} == {
        "-1": 8252160,
        "32": 51264,
        "128": 119040,
        "512": 390144,
        "1024": 751616,
        "2048": 1474560,
        "4096": 2920448,
    }
    cycles = [
        row["cycles"] for row in sorted(rows, key=lambda row: int(row["value"])) if row["value"] != "-1"
    ]
    assert cycles == sorted(cycles, reverse=True)  # type: ignore[type-var]


@pytest.mark.usefixtures("without_cacti")
def test_more_scatter_vectors_only_shorten_stalls() -> None:
    rows = rows_of("dse_d_scatter")
    assert [row["value"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert len({row["compute_cycles"] for row in rows}) == 1
    stalls = [row["stall_cycles"] for row in rows]
    assert stalls == sorted(stalls, reverse=True)  # type: ignore[type-var]


@pytest.mark.usefixtures("without_cacti")
def test_the_vector_sizes_keep_the_published_cycles() -> None:
    rows = {row["vector_size"]: row for row in published("dse_b_vector_size")}
    theirs = published_table("vector_size.csv")
    assert len(rows) == len(theirs) == 6
    for row in theirs:
        for column in ("layer_cycles", "stall_cycles", "layer_array_ops", "layer_scatter_ops", "dram_access"):
            assert int(rows[row["vector_size"]][column]) == int(row[column]), column


@pytest.mark.parametrize("name", ["dse_a_m_tile", "dse_b_vector_size", "dse_c_block_size", "dse_d_scatter"])
def test_the_tables_hold_what_focal_sweep_finds(name: str, tmp_path: Path) -> None:
    study, base = read_study(name)
    found = run_sweep(SweepRequest(study, base, PUBLISHED_ROOT, tmp_path, False)).rows
    table = rows_of(name)
    assert len(found) == len(table)
    for ours, row in zip(found, table, strict=True):
        assert (ours["seconds"], ours["total_mj"]) == (row["seconds"], row["energy_mj"])


def test_a_root_without_traces_of_a_study_says_what_to_record(tmp_path: Path) -> None:
    table = "Model,Dataset,Sequence length,Num frames,Num patches,Median index\nllava_vid,videomme,8,2,4,0\n"
    (tmp_path / "meta_data.csv").write_text(table, encoding="utf-8")
    with pytest.raises(TraceError, match=r"no trace of llava_vid/videomme .* 'sh run_dse.sh'"):
        sweep_rows("dse_a_m_tile", TraceRoot.open(tmp_path))
