"""Does ``focal sweep`` do what it says, draw the same bytes twice, and fail with one sentence?"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from focal.commands.running import run_command
from focal.commands.sweep import _rate, app
from simulator_support import PUBLISHED_ROOT
from sweep_support import AXES, study_text

FIGURES = {"pareto", "parallel", "hypervolume", "sensitivity"}


def sweep(*words: object) -> int:
    return run_command(app, ["--trace", str(PUBLISHED_ROOT), *map(str, words)])


def written(tmp_path: Path, **changes: object) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(study_text(**changes), encoding="utf-8")
    return path


def test_a_study_leaves_table_front_summary_and_figures_and_the_same_bytes_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path)
    contents = []
    for name in ("a", "b"):
        assert sweep(file, "--output", tmp_path / name) == 0
        found = {path.name: path.read_bytes() for path in (tmp_path / name).iterdir() if path.is_file()}
        contents.append(found)
    assert contents[0] == contents[1]
    expected = {f"{figure}.{kind}" for figure in FIGURES for kind in ("pdf", "png")} | {
        "explore.html",
        "front.csv",
    }
    assert expected <= set(contents[0])
    page = contents[0]["explore.html"].decode("utf-8")
    assert "<script src=" not in page
    assert str(tmp_path) not in page
    shown = capsys.readouterr().out
    assert "small: Pareto front" in shown
    assert "knee" in shown
    summary = json.loads(contents[0]["summary.json"])
    assert summary["ok"] == 24
    assert summary["knee_point"] in summary["front_points"]
    assert summary["hypervolume"] > 0


def test_published_accuracy_and_synthetic_counts_are_called_so_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, list[str]] = {}

    def note(figure: Any, folder: Path, name: str) -> list[Path]:
        drawn[name] = [label for panel in figure.axes for label in (panel.get_xlabel(), panel.get_ylabel())]
        return []

    for module in ("sweep_effects", "sweep_fronts"):
        monkeypatch.setattr(f"focal_evaluation.exhibits.{module}.save", note)
    assert sweep("dse_c_block_size", "--output", tmp_path / "c") == 0
    for name in ("levels", "pareto"):
        assert "accuracy [%]\n(published, not measured)" in drawn[name]
    shown = " ".join(capsys.readouterr().out.split())
    assert "fidelity parity; counts: synthetic, calibrated; accuracy: published, not measured" in shown
    summary = json.loads((tmp_path / "c" / "summary.json").read_text(encoding="utf-8"))
    assert summary["counts"] == ["synthetic, calibrated"]
    assert summary["metric_sources"] == {"accuracy": "published, not measured"}


def test_rows_of_several_versions_of_the_code_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sweep(written(tmp_path), "--output", tmp_path / "out", "--no-figures") == 0
    assert "versions of the code" not in capsys.readouterr().err
    other = {"commit": "0123456789", "is_dirty": False}
    monkeypatch.setattr("focal_simulator.sweep.evaluate.code_revision", lambda: other)
    axes = [{"field": "core.scatter_vectors", "values": [1, 2, 3, 4, 5]}, *AXES[1:]]
    changed = written(tmp_path, axes=axes)
    assert sweep(changed, "--output", tmp_path / "out", "--no-figures", "--fork") == 0
    shown = capsys.readouterr()
    assert "24 taken over from the earlier study, 0 were finished before" in " ".join(shown.out.split())
    assert "note: rows come from 2 versions of the code" in " ".join(shown.err.split())


def test_slow_studies_have_a_rate() -> None:
    assert [_rate(rate) for rate in (0.33, 9.9, 2544.4)] == ["0.33", "9.9", "2,544"]


def test_the_published_sweeps_are_drawn_against_their_axis(tmp_path: Path) -> None:
    assert sweep("dse_d_scatter", "--output", tmp_path / "d") == 0
    assert (tmp_path / "d" / "levels.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("dse_e",), 2, "no packaged study 'dse_e'; did you mean 'dse_"),
        (("none.yaml",), 2, "none.yaml: no such file"),
        (("STUDY", "-j", "0"), 2, "--jobs 0: expected at least 1"),
        (("STUDY", "--scheduler", "tcp://127.0.0.1:9"), 2, "no Dask scheduler answers"),
    ],
)
def test_wrong_use_is_one_sentence(
    words: tuple[str, ...],
    code: int,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("focal_common.spreading.dask._CONNECT_TIMEOUT_S", 0.3)
    file = written(tmp_path)
    assert sweep(*(file if word == "STUDY" else word for word in words), "--output", tmp_path / "out") == code
    error = " ".join(capsys.readouterr().err.split())
    assert message in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_no_feasible_point_ends_with_code_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, constraints=[{"metric": "area_mm2", "at_most": 0.1}])
    assert sweep(file, "--output", tmp_path / "out") == 1
    assert "no point is feasible" in " ".join(capsys.readouterr().err.split())


def test_the_sweep_imports_neither_torch_nor_what_it_may_not_need() -> None:
    code = (
        "import sys, focal.commands.sweep, focal_simulator.sweep.run, focal_simulator.sweep.summary\n"
        "heavy = {'torch', 'pandas', 'matplotlib', 'plotly', 'optuna', 'distributed', 'focal_algorithm'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
