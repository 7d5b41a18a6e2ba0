"""Do the commands of docs/dram_model.md and docs/several_arrays.md run as they stand there?"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas
import pytest

ROOT = Path(__file__).parents[3]
COMMAND = "from focal.commands.main import main; main()"


def blocks(page: str, kind: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save the files of the pages, and run their commands and Python in an empty folder."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "layers.csv").write_text(blocks("gemms.md", "csv")[0], encoding="utf-8")
    (folder / "lpddr5.yaml").write_text(blocks("dram_model.md", "yaml")[0], encoding="utf-8")
    lines = "\n".join(blocks("dram_model.md", "sh") + blocks("several_arrays.md", "sh")).splitlines()
    commands = [["-c", COMMAND, *shlex.split(line)[1:]] for line in filter(None, lines)]
    python = "import focal\n" + blocks("dram_model.md", "python")[1]
    for words in [*commands, ["-c", python]]:
        done = subprocess.run(
            [sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    return folder


def cycles(folder: Path, accelerator: str) -> int:
    frame = pandas.read_csv(folder / "results.csv")
    return int(frame.set_index("accelerator")["cycles"].loc[accelerator])


def test_both_ways_to_name_a_memory_agree(folder: Path) -> None:
    assert cycles(folder / "lpddr5", "dense") == cycles(folder / "same", "dense")


def test_eight_arrays_are_up_to_eight_times_as_fast(folder: Path) -> None:
    layers = pandas.read_parquet(folder / "eight" / "cycle_main_dense_layers.parquet")
    assert set(layers["cut"]) <= {"one array", "m-tiles", "heads", "columns"}
    assert layers["arrays"].between(1, 8).all()


def test_a_bad_file_is_one_sentence_and_exit_code_1_or_2(folder: Path) -> None:
    (folder / "bad.yaml").write_text("base: hbm2_1ch\nchannels: 3\n", encoding="utf-8")
    words = [
        "sim",
        "--gemms",
        "layers.csv",
        "--accelerator",
        "dense",
        "--dram",
        "bad.yaml",
        "--output",
        "bad",
    ]
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode in (1, 2)
    assert "bad.yaml: channels must be a power of two, got 3" in " ".join(done.stderr.split())
    assert not (folder / "bad").exists()
