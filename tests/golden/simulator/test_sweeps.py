"""Do the design-space runs write the published tables?"""

import csv
import sys
from pathlib import Path

import pytest

from focal_simulator.accelerators.base import Accelerator
from focal_simulator.buffer_costs import BufferCost
from focal_simulator.cli import main
from simulator_support import PUBLISHED_ROOT, published_table


def sweep(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    words = ["run.py", "--trace", str(PUBLISHED_ROOT), "--sweep", name, "--output", str(folder)]
    monkeypatch.setattr(sys, "argv", words)
    assert main() == 0
    (path,) = folder.glob("dse_*.csv")
    with path.open(encoding="utf-8") as source:
        return list(csv.DictReader(source))


def without_cacti(accelerator: Accelerator[object], choice: str) -> tuple[BufferCost, ...]:
    """Sizes as asked for, free of cost: these tests read capacities and cycles."""
    return tuple(
        BufferCost(need.name, need.size_bytes * need.copies, 1.0, 0.0, 0.0, 0.0)
        for need in accelerator.buffers()
    )


@pytest.mark.golden
def test_the_block_of_one_vector_is_the_published_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {row["block_size"]: row for row in sweep("block_size", tmp_path, monkeypatch)}
    assert len(rows) == 9
    (published,) = (row for row in published_table("rows.csv") if row["run"] == "focus_1x1x1")
    for column in ("total_cycles", "total_stall_cycles", "num_ops", "total_dram_access", "total_activation"):
        assert int(rows["1x1x1"][column]) == int(published[column]), column
    assert float(rows["1x1x1"]["total_energy"]) == pytest.approx(float(published["total_energy"]), rel=1e-12)


@pytest.mark.golden
def test_buffer_capacities_of_the_tile_sweep_are_published_and_smaller_tiles_are_slower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("focal_simulator.studies.buffer_costs", without_cacti)
    rows = sweep("m_tile", tmp_path, monkeypatch)
    capacities = {int(row["m_tile_size"]): int(row["total_buffer_capacity"]) for row in rows}
    assert capacities == {
        -1: 8252160,
        32: 51264,
        128: 119040,
        512: 390144,
        1024: 751616,
        2048: 1474560,
        4096: 2920448,
    }
    cycles = [int(row["total_cycles"]) for row in rows if row["m_tile_size"] != "-1"]
    assert cycles == sorted(cycles, reverse=True)


@pytest.mark.golden
def test_more_scatter_vectors_only_shorten_stalls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("focal_simulator.studies.buffer_costs", without_cacti)
    rows = [row for row in sweep("scatter", tmp_path, monkeypatch) if row["dataset"] == "videomme"]
    first = [row for row in rows if row["model"] == "llava_vid"]
    assert [row["num_scatter"] for row in first] == ["1", "2", "3", "4", "5"]
    assert len({row["total_compute_cycles"] for row in first}) == 1
    stalls = [int(row["total_stall_cycles"]) for row in first]
    assert stalls == sorted(stalls, reverse=True)


@pytest.mark.golden
def test_the_vector_sizes_keep_the_published_cycles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("focal_simulator.vector_size_study.buffer_costs", without_cacti)
    rows = {row["vector_size"]: row for row in sweep("vector_size", tmp_path, monkeypatch)}
    published = published_table("vector_size.csv")
    assert len(rows) == len(published) == 6
    for row in published:
        for column in ("layer_cycles", "stall_cycles", "layer_array_ops", "layer_scatter_ops", "dram_access"):
            assert int(rows[row["vector_size"]][column]) == int(row[column]), column


def test_a_root_without_traces_of_the_sweep_says_what_to_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "root").mkdir()
    table = "Model,Dataset,Sequence length,Num frames,Num patches,Median index\na,b,8,2,4,0\n"
    (tmp_path / "root" / "meta_data.csv").write_text(table, encoding="utf-8")
    words = [
        "run.py",
        "--trace",
        str(tmp_path / "root"),
        "--sweep",
        "m_tile",
        "--output",
        str(tmp_path / "out"),
    ]
    monkeypatch.setattr(sys, "argv", words)
    assert main() == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "counts of one tile size cannot be re-tiled" in error
    assert not (tmp_path / "out").exists()
