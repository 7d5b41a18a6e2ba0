"""Do ``focal reproduce EXHIBIT`` and ``focal report`` run, and end with the right exit code?"""

from __future__ import annotations

from pathlib import Path

import pytest

from exhibit_support import cycle_folder
from focal.commands.main import main
from published_support import ROOT


def run(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    return int(left.value.code or 0)


def test_an_exhibit_is_made_from_a_result_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = cycle_folder(tmp_path / "run")
    common = ("--root", ROOT, "--formats", "svg", "--output", tmp_path / "out")
    assert run("reproduce", "fig11", "--from", folder, *common) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "fig11.csv",
        "fig11.svg",
        "fig11_claims.csv",
        "index.csv",
        "claims.csv",
    }
    assert "Figure 11: ablation" in capsys.readouterr().out
    assert run("reproduce", "fig10a", "--from", folder, *common) == 1
    assert run("reproduce", "fig11", "--from", tmp_path / "absent", *common) == 2
    assert "is no folder" in capsys.readouterr().err


def test_reproduce_without_words_shows_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("reproduce") == 0
    assert "exhibits" in capsys.readouterr().out


def test_a_report_and_its_pdf_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = cycle_folder(tmp_path / "run")
    assert run("report", folder, "-o", tmp_path / "r.html", "--pdf", "--root", ROOT) == 0
    assert (tmp_path / "r.html").read_bytes().startswith(b"<!DOCTYPE html>")
    assert (tmp_path / "r.pdf").read_bytes().startswith(b"%PDF")
    assert "partial: run has no manifest.json" in capsys.readouterr().err
    assert run("report", tmp_path / "absent") == 2
    assert run("report", folder, "-o", tmp_path / "r.docx") == 2
    assert "expected a name that ends in .html" in capsys.readouterr().err
    assert not (tmp_path / "r.docx").exists()
