"""Does a new accelerator simulate, sweep and answer Python by doing exactly what docs/adding_an_accelerator.md says?"""

from __future__ import annotations

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas
import pytest

from page_support import ROOT, TEXT, blocks, save

COMMAND = "from focal.commands.main import main; main()"


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the package, save the page's files where the page says, and add the page's line to the table."""
    source = tmp_path_factory.mktemp("source") / "simulator"
    shutil.copytree(ROOT / "simulator", source, ignore=shutil.ignore_patterns("__pycache__"))
    (place,) = re.findall(r"Save it as\s+`simulator/(.*?)`", TEXT)
    (line,) = re.findall(r"Add `(\"small_array\": .*?,)` to the table", TEXT)
    assert place.endswith("/accelerator.py")
    save((source / place).parent)
    table = source / "focal_simulator" / "accelerators" / "__init__.py"
    before, mark, after = table.read_text(encoding="utf-8").partition('    "accelerator",\n    {\n')
    assert mark
    table.write_text(f"{before}{mark}        {line}\n{after}", encoding="utf-8")
    return source


@pytest.fixture(scope="module")
def folder(simulator: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run every command of the page, and its Python, in an empty folder beside the published traces."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "example_output").symlink_to(ROOT / "example_output")
    (folder / "small_array.yaml").write_text(blocks("yaml")[1], encoding="utf-8")
    (folder / "page.py").write_text(blocks("python")[1], encoding="utf-8")
    commands = [shlex.split(line) for line in blocks("sh")[0].splitlines()]
    assert [words[:2] for words in commands] == [
        ["focal", verb] for verb in ("sim", "sim", "explain", "sweep")
    ]
    assert run(simulator, folder, "page.py").strip()
    shown = [run(simulator, folder, "-c", COMMAND, *words[1:]) for words in commands]
    assert "its hardware names no special-function unit" in shown[0]
    assert "9.o_proj" in shown[2]
    return folder


def run(simulator: Path, folder: Path, *words: str) -> str:
    """Run Python on the copied package; return what it printed, notes included."""
    paths = [
        simulator,
        *(ROOT / name for name in ("", "common", "traces", "algorithm", "evaluation_scripts")),
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths)), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return " ".join((done.stdout + done.stderr).split())


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as source:
        return list(csv.DictReader(source))


def test_a_quarter_of_the_multipliers_on_fewer_tokens_is_what_the_rows_say(folder: Path) -> None:
    found = {row["accelerator"]: row for row in rows(folder / "results" / "results.csv")}
    small, dense = found["small_array"], found["dense"]
    assert int(small["macs"]) < int(dense["macs"]) == int(small["dense_macs"])
    assert int(small["cycles"]) * 16 * 16 >= int(small["macs"])
    assert int(small["sfu_cycles"]) == 0
    assert small["sram_model"].startswith("cacti")
    assert small["hardware"] == "preset"


def test_its_area_stands_in_the_summary_after_the_published_ones(folder: Path) -> None:
    summary = rows(folder / "results" / "accelerators.csv")
    assert [row["label"] for row in summary] == [
        "systolic array",
        "adaptiv",
        "cmc",
        "focus",
        "small array",
    ]
    # Input, weight and output buffer of the page: 16 + 4 + 64 KiB.
    assert float(summary[-1]["buffer_kib"]) == 84


def test_the_sweep_runs_every_width(folder: Path) -> None:
    table = pandas.read_parquet(folder / "sweep" / "results.parquet").set_index("core.array_columns")
    assert table.index.tolist() == [16, 32, 64]
    assert table["seconds"].is_monotonic_decreasing


def test_parity_is_refused_in_one_sentence(simulator: Path, folder: Path) -> None:
    words = shlex.split(blocks("sh")[0].splitlines()[1])[1:]
    with pytest.raises(AssertionError, match="no published simulator of it is reproduced"):
        run(simulator, folder, "-c", COMMAND, *words, "--fidelity", "parity")
