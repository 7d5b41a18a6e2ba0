"""Can each baseline be traced by one command and simulated by the next, as the scripts do?"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from focal.commands.main import VERBS
from focal.commands.running import run_command
from focal.commands.trace import app
from focal_traces.files.store import open_trace
from focal_traces.records.file import read_records
from focal_traces.root.root import TraceRoot

TINY = ["--size", "tiny", "--frames", "9", "--samples", "2"]
STEM = "llava_onevision_photographs"


def trace(root: Path, *words: str) -> None:
    assert run_command(app, [*TINY, "--output", str(root), *words]) == 0


def simulate(root: Path, *words: str) -> int:
    results = ["--output", str(root / "results"), "--no-figure"]
    return run_command(VERBS.load("sim"), ["--trace", str(root), *results, *words])


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as source:
        return list(csv.DictReader(source))


def test_a_root_of_all_methods_runs_on_all_accelerators(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for method in ("focus", "adaptiv", "cmc", "framefusion", "focus_sec_only", "dense"):
        trace(tmp_path, "--method", method)
    (row,) = rows(tmp_path / "adaptiv_sparsity.csv")
    samples = json.loads((tmp_path / "adaptiv" / f"{STEM}.samples.json").read_text())
    assert float(row["Sparsity"]) == pytest.approx(sum(s["method"]["sparsity"] for s in samples) / 2)
    records = read_records(tmp_path / "cmc" / f"{STEM}.records.parquet")
    for sample in records.samples:
        tiles = {(record.point, record.layer) for record in sample if record.kind == "tile"}
        assert tiles == {(p, n) for p in ("linear", "query", "probabilities") for n in range(4)} - {
            ("probabilities", 3)
        }
    main = open_trace(tmp_path / "focus_main" / f"{STEM}.counts.parquet").header.median_index
    assert TraceRoot.open(tmp_path).workload("llava_onevision", "photographs").median_index == main
    for folder in ("framefusion", "focus_sec_only", "dense"):
        assert open_trace(tmp_path / folder / f"{STEM}.counts.parquet").header.median_index == main
    capsys.readouterr()
    assert simulate(tmp_path, "--accelerator", "all", "--json") == 0
    simulated = json.loads(capsys.readouterr().out)["rows"]
    assert {"adaptiv", "cmc", "dense", "focus", "focus_sec_only"} <= {row["accelerator"] for row in simulated}


def test_a_baseline_alone_is_simulated_with_its_own_decoder(tmp_path: Path) -> None:
    trace(tmp_path, "--method", "adaptiv", "--simulate", "adaptiv,dense")
    assert simulate(tmp_path, "--accelerator", "adaptiv,dense") == 0
    # With and without naming the trace folder: the decoder is that of the trace, never an assumed one.
    plain, named = (
        {
            row["accelerator"]: (row["variant"], row["cycles"])
            for row in rows(tmp_path / folder / "results.csv")
        }
        for folder in ("results", "simulation")
    )
    for name in ("adaptiv", "dense"):
        assert (plain[name][0], named[name][0]) == ("focus_main", "adaptiv")
        assert plain[name][1] == named[name][1]


def test_int8_runs_are_filed_apart_and_take_the_sample_of_the_main_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace(tmp_path)
    main = (tmp_path / "focus_main" / f"{STEM}.counts.parquet").read_bytes()
    meta = (tmp_path / "meta_data.csv").read_text()
    trace(tmp_path, "--precision", "int8")
    assert "linear layers: int8" in capsys.readouterr().err.replace("\n", " ")
    header = open_trace(tmp_path / "focus_int8" / f"{STEM}.counts.parquet").header
    assert header.quantization.startswith("int8: ")
    assert (tmp_path / "focus_main" / f"{STEM}.counts.parquet").read_bytes() == main
    assert (tmp_path / "meta_data.csv").read_text() == meta
    assert simulate(tmp_path, "--accelerator", "focus", "--variant", "focus_int8") == 0


def test_int8_does_not_overwrite_the_sparsities_of_a_float_run(tmp_path: Path) -> None:
    trace(tmp_path, "--method", "adaptiv")
    before = (tmp_path / "adaptiv_sparsity.csv").read_text()
    trace(tmp_path, "--method", "adaptiv", "--precision", "int8", "--set", "threshold=0.05")
    assert (tmp_path / "adaptiv_sparsity.csv").read_text() == before
    assert (tmp_path / "adaptiv_int8" / f"{STEM}.counts.parquet").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--precision", "int9"], "precision must be float or int8"),
        (["--method", "cmc", "--frames", "1"], "expected a video of at least two frames"),
        (["--method", "adaptive"], "did you mean 'adaptiv'"),
    ],
)
def test_wrong_use_is_one_sentence(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(app, [*TINY, "--output", str(tmp_path / "out"), *words]) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "out").exists()


def test_records_are_shown_and_checked_like_any_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace(tmp_path, "--method", "adaptiv", "--set", "threshold=0.1")
    path = tmp_path / "adaptiv" / f"{STEM}.records.parquet"
    capsys.readouterr()
    assert run_command(app, ["info", str(path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    tiles = [row for row in shown["rows"] if row["kind"] == "tile"]
    assert [row["layer"] for row in tiles] == [0, 1, 2, 3]
    assert all(0 < row["left"] < row["of"] == 81 for row in tiles)
    assert run_command(app, ["info", str(path)]) == 0
    assert run_command(app, ["info", str(path), "--sample", "9"]) == 2
    assert run_command(app, ["validate", str(path)]) == 0
    assert "records, 2 samples" in capsys.readouterr().out


def test_a_run_on_other_pictures_leaves_the_row_of_the_main_run(tmp_path: Path) -> None:
    trace(tmp_path)
    before = (tmp_path / "meta_data.csv").read_text()
    trace(tmp_path, "--method", "dense", "--frames", "4")
    assert (tmp_path / "meta_data.csv").read_text() == before
    trace(tmp_path, "--frames", "4")
    assert (tmp_path / "meta_data.csv").read_text() != before
