"""Do the figures of a results object follow from what the simulator returned, and do folders hold the same?"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pandas as pd
import pytest

import face_support as support
import focal
from focal.commands.explain import app as explain
from focal.commands.running import run_command
from focal.commands.sim import app as sim
from focal_common.errors import ConfigError, RunError

PAIR = {"models": ["llava_vid"], "datasets": ["videomme"]}


@pytest.fixture(scope="module")
def results() -> focal.Results:
    return focal.simulate(
        support.PUBLISHED, ["dense", "focus"], datasets=["videomme", "mlvu"], models=["llava_vid"]
    )


def test_rows_and_ratios_follow_from_the_runs(results: focal.Results) -> None:
    table = results.frame()
    assert len(table) == len(results) == len(results.runs) == 4
    ratios = []
    for run, (_, row) in zip(results.runs, table.iterrows(), strict=True):
        assert (row["cycles"], row["seconds"]) == (run.result.total_cycles, run.result.seconds)
        assert row["seconds"] == row["cycles"] / run.accelerator.hardware.clock.value
        parts = row["core_energy_mj"] + row["sram_energy_mj"] + row["dram_energy_mj"]
        assert row["energy_mj"] == pytest.approx(parts, rel=1e-12)
        assert row["dram_bytes"] == run.result.dram_bytes
        dense = next(
            one.result
            for one in results.runs
            if one.name == "dense" and one.workload.label == run.workload.label
        )
        assert row["speedup_over_dense"] == dense.seconds / run.result.seconds
        assert row["energy_over_dense"] == run.result.total_mj / dense.total_mj
        if run.name == "focus":
            ratios.append(row["speedup_over_dense"])
    assert results.speedup("focus") == pytest.approx(math.sqrt(ratios[0] * ratios[1]), rel=1e-12)
    assert results.speedup("dense", over="focus") == pytest.approx(1 / results.speedup("focus"), rel=1e-12)
    assert set(results.workloads) == {("llava_vid", "videomme"), ("llava_vid", "mlvu")}
    assert not [name for name in table if name.endswith("energy") or name.endswith("time")]


def test_a_saved_folder_is_that_of_the_command_and_reads_back(
    results: focal.Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results.save(tmp_path / "face")
    words = ["--trace", str(support.PUBLISHED), "--accelerator", "dense,focus", "--model", "llava_vid"]
    words += ["--dataset", "videomme,mlvu", "--output", str(tmp_path / "cli")]
    assert run_command(sim, words) == 0
    names = {path.name for path in (tmp_path / "cli").iterdir() if path.is_file()}
    assert names == {path.name for path in (tmp_path / "face").iterdir() if path.is_file()}
    for name in names:
        assert (tmp_path / "cli" / name).read_bytes() == (tmp_path / "face" / name).read_bytes(), name
    again = focal.Results.open(tmp_path / "cli")
    one, two = results.frame(), again.frame()
    key = ["model", "dataset", "accelerator"]
    one, two = (table.sort_values(key, ignore_index=True) for table in (one, two))
    assert one.equals(two[one.columns])
    assert again.speedup("focus") == pytest.approx(results.speedup("focus"), rel=1e-12)
    where = {"model": "llava_vid", "dataset": "mlvu"}
    assert again.explain("9.o_proj", **where) == results.explain("9.o_proj", **where)
    with pytest.raises(RunError, match="were read from"):
        again.save(tmp_path / "third")
    capsys.readouterr()


def test_the_explanation_is_that_of_the_command(
    results: focal.Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results.save(tmp_path, figure=False)
    words = [str(tmp_path), "--layer", "9.o_proj", "--model", "llava_vid", "--dataset", "videomme"]
    assert run_command(explain, words) == 0
    said = capsys.readouterr().out
    found = results.explain("9.o_proj", model="llava_vid", dataset="videomme")
    assert found.title in said
    assert f"bound: {found.bound}" in said
    assert sum(cycles for _, cycles in found.causes) == found.total_cycles
    assert "9.o_proj" in str(found)
    assert "<table>" in found._repr_html_()
    with pytest.raises(ConfigError, match=r"no layer '9\.o_pro'; did you mean '9\.o_proj'"):
        results.explain("9.o_pro", model="llava_vid", dataset="videomme")
    with pytest.raises(ConfigError, match="choose one by model and dataset"):
        results.explain("9.o_proj")
    with pytest.raises(ConfigError, match="did you mean 'focus'"):
        results.explain("9.o_proj", "fokus")
    with pytest.raises(ConfigError, match="times no single layers; use fidelity cycle"):
        focal.simulate(support.PUBLISHED, "dense", fidelity="parity", **PAIR).explain("9.o_proj")


def test_settings_reach_the_hardware() -> None:
    wide = focal.accelerator("dense", core={"array_columns": 64})
    same = focal.accelerator("dense", label="wide", **{"core.array_columns": 64})
    assert wide.label == "dense@core.array_columns=64"
    assert wide.hardware.core.array_columns.value == 64
    found = focal.simulate(support.PUBLISHED, ["dense", wide, same], **PAIR)
    cycles = found.frame().set_index("accelerator")["cycles"]
    assert cycles["wide"] == cycles[wide.label] < cycles["dense"]
    by_override = focal.simulate(
        support.PUBLISHED, "dense", overrides={"core": {"array_columns": 64}}, **PAIR
    )
    assert by_override.frame()["cycles"].tolist() == [cycles["wide"]]
    with pytest.raises(ConfigError, match="two accelerators are called 'wide'"):
        focal.simulate(support.PUBLISHED, [same, same], **PAIR)
    with pytest.raises(ConfigError, match=r"label: .* expected a plain name"):
        focal.accelerator("dense", label="a/b")
    slow = focal.simulate(support.PUBLISHED, "dense", dram="lpddr3_1ch_shipped", **PAIR)
    assert slow.frame()["cycles"].tolist()[0] > cycles["dense"]


def test_columns_that_compare_runs_keep_their_settings_apart() -> None:
    off = focal.simulate(support.PUBLISHED, "dense", corrections="none", **PAIR).frame()
    parity = focal.simulate(support.PUBLISHED, "dense", fidelity="parity", **PAIR).frame()
    assert off["corrections"].tolist() == ["none"]
    assert off["cycles"].tolist() == parity["cycles"].tolist()
    listed = focal.simulate(support.PUBLISHED, "dense", corrections=[], **PAIR).frame()
    assert listed["cycles"].tolist() == off["cycles"].tolist()


def test_a_figure_and_a_table_for_a_notebook(results: focal.Results, tmp_path: Path) -> None:
    figure = results.plot(tmp_path / "speedup.png")
    assert (tmp_path / "speedup.png").read_bytes().startswith(b"\x89PNG")
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    for height in results.frame()["speedup_over_dense"]:
        assert any(math.isclose(height, one) for one in heights)
    assert "energy_over_dense" in results._repr_html_()
    with pytest.raises(RunError, match="could not be written"):
        results.plot(tmp_path / "speedup.xyz")
    assert results.refusal("focus") == ""
    refused = focal.simulate(support.PUBLISHED, "all", models=["qwen2_5_vl"], datasets=["mme"])
    assert refused.refusal("cmc") in " ".join(refused.notes)


def test_the_published_layout_stays_one_export(results: focal.Results, tmp_path: Path) -> None:
    results.save(tmp_path, figure=False)
    saved = pd.read_csv(tmp_path / "results.csv")
    pd.testing.assert_frame_equal(focal.Results.open(tmp_path).frame(), saved, check_dtype=False)
    assert list(saved) == list(results.frame())
    assert not (tmp_path / "cycle_main_focus.csv").exists()
    results.save(tmp_path, figure=False, published_layout=True)
    with (tmp_path / "cycle_main_focus.csv").open(encoding="utf-8", newline="") as source:
        row = next(csv.DictReader(source))
    own = results.frame().query("accelerator == 'focus' and dataset == @row['dataset']").iloc[0]
    assert float(row["total_energy"]) == own["energy_mj"]
    assert float(row["execution_time"]) == own["seconds"]


def test_hardware_of_ones_own_is_named_beside_the_ratio() -> None:
    wide = focal.accelerator("focus", core={"array_columns": 64})
    found = focal.simulate(support.PUBLISHED, ["dense", wide], models=["llava_vid"], datasets=["mvbench"])
    assert f"{wide.label}: hardware of its own, of which dense has nothing." in found.notes[0]
    plain = focal.accelerator("focus", label="mine")
    found = focal.simulate(support.PUBLISHED, ["dense", plain], models=["llava_vid"], datasets=["mvbench"])
    assert "of its own" not in found.notes[0]


def test_only_the_dense_array_may_be_called_dense() -> None:
    with pytest.raises(ConfigError, match="label 'dense' is for the dense array"):
        focal.accelerator("focus", label="dense")


def test_a_saved_result_folder_says_what_its_ratios_are_over(tmp_path: Path) -> None:
    wide = focal.accelerator("focus", core={"array_columns": 64})
    found = focal.simulate(support.PUBLISHED, ["dense", wide], models=["llava_vid"], datasets=["mvbench"])
    found.save(tmp_path / "saved")
    assert focal.Results.open(tmp_path / "saved").notes == (found.notes[0],)
