"""Do the commands over the published root work, and do they refuse what they cannot do?"""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from focal.commands.reproduce import app as reproduce
from focal.commands.running import run_command
from focal.commands.sim import app as simulate
from published_support import REPOSITORY, ROOT

PUBLISHED_ROWS = {"dense": 15, "adaptiv": 15, "cmc": 9, "focus_sec_only": 9}


def _rows(path: Path) -> dict[tuple[str, str], dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as source:
        return {(row["model"], row["dataset"]): row for row in csv.DictReader(source)}


def _lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as source:
        return list(csv.DictReader(source))


def test_one_command_writes_the_48_published_rows(tmp_path: Path) -> None:
    names = ",".join(PUBLISHED_ROWS)
    words = ["--trace", str(ROOT), "--accelerator", names, "--fidelity", "parity", "--output", str(tmp_path)]
    assert run_command(simulate, [*words, "--no-figure", "--published-layout"]) == 0
    tables = {name: _rows(tmp_path / f"main_{name}.csv") for name in PUBLISHED_ROWS}
    videos = set(tables["cmc"])
    found = {name: len(rows) for name, rows in tables.items()}
    # SEC-only was published for videos; the schedules of images allow six more rows.
    found["focus_sec_only"] = len(videos & set(tables["focus_sec_only"]))
    assert found == PUBLISHED_ROWS
    assert tables["dense"]["llava_vid", "videomme"]["total_cycles"] == "95936913408"
    assert tables["focus_sec_only"]["llava_vid", "mvbench"]["total_cycles"] == "5657214304"


def test_tile_lengths_of_stand_ins_can_be_asked_for(tmp_path: Path) -> None:
    words = ["--trace", str(ROOT), "--tile-lengths", "--model", "llava_vid", "--output", str(tmp_path)]
    assert run_command(simulate, words) == 0
    with (tmp_path / "tile_lengths.csv").open(encoding="utf-8", newline="") as source:
        rows = list(csv.DictReader(source))
    assert {"videomme", "mlvu", "mvbench"} <= {row["dataset"] for row in rows}


@pytest.mark.golden
def test_parity_writes_the_committed_claims(tmp_path: Path) -> None:
    assert run_command(reproduce, ["parity", "--root", str(ROOT), "--output", str(tmp_path)]) == 0
    committed = REPOSITORY / "example_output" / "exhibits" / "parity" / "claims.csv"
    assert (tmp_path / "claims.csv").read_bytes() == committed.read_bytes()
    assert len(_lines(tmp_path / "defects.csv")) == 27


@pytest.mark.parametrize("command", ["parity", "better-focus"])
def test_a_page_is_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert run_command(reproduce, [command, "--output", str(tmp_path / "page.md")]) == 2
    assert "written by hand, expected a folder" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["parity", "calibrate"])
def test_a_root_without_claims_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    root = tmp_path / "root"
    shutil.copytree(ROOT, root)
    (root / "claims.csv").unlink()
    assert run_command(reproduce, [command, "--root", str(root), "--output", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert "claims.csv" in message
    assert message.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_missing_root_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["parity", "--root", str(tmp_path / "nowhere"), "--output", str(tmp_path / "out")]
    assert run_command(reproduce, words) == 2
    assert "nowhere" in capsys.readouterr().err
