"""Do the commands of docs/gemms.md run as they stand there, and are options that do not go together refused?"""

from __future__ import annotations

import csv
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas
import pytest

import focal

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "gemms.md").read_text(encoding="utf-8")
COMMAND = "from focal.commands.main import main; main()"
CONFIG = {
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 1000,
}


def blocks(kind: str) -> str:
    return "\n".join(re.findall(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL))


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save the files of the page, and run its commands and its Python in an empty folder."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "layers.csv").write_text(blocks("csv"), encoding="utf-8")
    (folder / "gemm_study.yaml").write_text(blocks("yaml"), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    (folder / "example_output").symlink_to(ROOT / "example_output")
    for line in filter(None, blocks("sh").splitlines()):
        done = run(folder, "-c", COMMAND, *shlex.split(line)[1:])
        assert done.returncode == 0, done.stderr
    done = run(folder, "-c", blocks("python"))
    assert done.returncode == 0, done.stderr
    return folder


def rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as source:
        return {row["accelerator"]: row for row in csv.DictReader(source)}


def test_the_rows_are_of_the_list(folder: Path) -> None:
    found = rows(folder / "gemms" / "results.csv")
    assert list(found) == ["cmc", "dense", "focus"]
    macs = 2048 * (4608 * 3584 + 2048 * 128 + 3584 * 18944)
    assert {(row["model"], row["dataset"], row["origin"], int(row["macs"])) for row in found.values()} == {
        ("layers", "gemms", "given", macs)
    }
    assert int(rows(folder / "batch" / "results.csv")["dense"]["macs"]) == 8 * macs


def test_the_topology_of_a_trace_takes_the_cycles_of_the_trace(folder: Path) -> None:
    first, second = (rows(folder / name / "results.csv")["dense"] for name in ("trace", "again"))
    # Beside the array, special functions take time in the trace alone.
    assert int(second["sfu_cycles"]) == 0
    same = ["macs", "dram_bytes", "activation_bytes"] + [
        f"{one}_cycles" for one in ("stream", "fill_drain", "weight")
    ]
    same += ["dram_read_cycles", "dram_write_cycles"]
    differing = {name for name in same if first[name] != second[name]}
    # A trace counts half of attention as operations; m-tiles reach over the diagonal.
    assert differing == {"macs", "dram_bytes", "activation_bytes"}
    # What is added or multiplied on the way out is of other GEMMs: the gate once, the residual stream twice a block.
    beside = 28 * 2366 * (18944 + 2 * 3584) * 2
    assert int(first["dram_bytes"]) - int(second["dram_bytes"]) == beside
    assert int(second["macs"]) > int(first["macs"])


def test_a_sweep_gives_the_rows_of_single_runs(folder: Path) -> None:
    table = pandas.read_parquet(folder / "gemm_sweep" / "results.parquet").set_index("core.array_columns")
    assert table.index.tolist() == [16, 32, 64]
    single = focal.simulate(
        focal.gemms(folder / "layers.csv", batch=4), focal.accelerator("dense", core={"array_columns": 64})
    ).frame()
    assert table["total_cycles"][64] == single["cycles"][0]
    assert table["origin"][64] == "given"


def test_without_torch_and_without_a_trace(folder: Path) -> None:
    script = "import sys; sys.modules['torch'] = None; import focal; print(len(focal.simulate('layers.csv', 'dense')))"
    assert run(folder, "-c", script).stdout.strip() == "1"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--gemms layers.csv --trace x", "does not go with it"),
        ("--gemms layers.csv --model x", "does not go with it"),
        ("--gemms layers.csv --whole-model", "does not go with it"),
        ("--gemms layers.csv --tokens 5", "takes no tokens"),
        ("--gemms config.json --tokens 5 --patches 3", "--patches is '3', expected rows x columns"),
        ("--tokens 4", "expected --gemms"),
        ("--gemms layers.csv --export csv=out", "export 'csv'"),
        ("--gemms layers.csv --export topology", "expected FORMAT=PATH"),
        ("", "expected a trace, or a list of GEMMs"),
    ],
)
def test_what_does_not_go_together_is_refused(folder: Path, words: str, sentence: str) -> None:
    done = run(folder, "-c", COMMAND, "sim", "--accelerator", "dense", *shlex.split(words))
    assert done.returncode == 2
    assert sentence in " ".join(done.stderr.split())
