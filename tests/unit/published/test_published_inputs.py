"""Is a damaged copy of the published tables refused with one sentence and exit code 2?"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from focal.commands.running import run_command
from focal.commands.sim import app
from published_support import ROOT

TABLES = ("meta_data.csv", "adaptiv_sparsity.csv", "cmc_sparsity.csv", "schedules.csv")


def _copy(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    for table in TABLES:
        shutil.copy(ROOT / table, root)
    return root


def _run(root: Path, output: Path, accelerator: str) -> int:
    words = ["--trace", str(root), "--accelerator", accelerator, "--output", str(output), "--no-figure"]
    return run_command(app, words)


@pytest.mark.parametrize("value", ["1.0", "-0.1", "1.5", "nan", "half"])
@pytest.mark.parametrize("table", ["adaptiv_sparsity.csv", "cmc_sparsity.csv"])
def test_a_sparsity_outside_its_range_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], table: str, value: str
) -> None:
    root = _copy(tmp_path)
    lines = (root / table).read_text(encoding="utf-8").splitlines()
    cells = lines[1].split(",")
    cells[-1] = value
    (root / table).write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n", encoding="utf-8")
    assert _run(root, tmp_path / "out", table.split("_")[0]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    assert value in message


def test_two_rows_of_meta_data_for_one_pair_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = _copy(tmp_path)
    table = root / "meta_data.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([*lines, lines[1]]) + "\n", encoding="utf-8")
    assert _run(root, tmp_path / "out", "dense") == 2
    message = capsys.readouterr().err
    assert "second row of model 'llava_vid', dataset 'videomme'" in message
    assert not (tmp_path / "out").exists()


def test_without_stand_ins_focus_says_that_it_has_no_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(_copy(tmp_path), tmp_path / "out", "focus") == 2
    assert "has no Focus trace" in capsys.readouterr().err
