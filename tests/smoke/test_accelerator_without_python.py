"""Does docs/adding_an_accelerator.md, read alone and without Python, give rows, a report and a sweep of a new array?"""

from __future__ import annotations

import csv
import shlex
import subprocess
import sys
from pathlib import Path

import pandas
import pytest

from page_support import ROOT, WITHOUT_PYTHON, blocks

COMMAND = "from focal.commands.main import main; main()"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save the files of the section and run all of its commands and its Python in an empty folder."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "example_output").symlink_to(ROOT / "example_output")
    for name, text in zip(("my_array.yaml", "my_study.yaml"), blocks("yaml", WITHOUT_PYTHON), strict=True):
        (folder / name).write_text(text, encoding="utf-8")
    (script,) = blocks("python", WITHOUT_PYTHON)
    assert float(run(folder, "-c", script)) > 1
    for line in blocks("sh", WITHOUT_PYTHON)[0].splitlines():
        run(folder, "-c", COMMAND, *shlex.split(line)[1:])
    return folder


def run(folder: Path, *words: str) -> str:
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_stands_beside_the_presets_in_tables_and_report(folder: Path) -> None:
    with (folder / "mine" / "results.csv").open(encoding="utf-8", newline="") as source:
        rows = {row["accelerator"]: row for row in csv.DictReader(source)}
    assert float(rows["my_array"]["speedup_over_dense"]) > 1
    assert rows["my_array"]["sram_model"].startswith("cacti")
    with (folder / "mine" / "accelerators.csv").open(encoding="utf-8", newline="") as source:
        assert [row["label"] for row in csv.DictReader(source)][-1] == "my 64 x 64 array"
    assert (folder / "mine" / "cycle_main_headline.png").stat().st_size > 0
    assert "my_array" in (folder / "report.html").read_text(encoding="utf-8")


def test_the_sweep_prices_every_width_under_its_name(folder: Path) -> None:
    table = pandas.read_parquet(folder / "my_sweep" / "results.parquet")
    assert set(table["accelerator"]) == {"my_array"}
    assert table["core.array_columns"].tolist() == [16, 32, 64]
    assert table["area_mm2"].is_monotonic_increasing
