"""Does one command go from a forward to simulated speed-up and energy, as run_focus.sh promises?"""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def focal(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    code = "from focal.commands.main import main; main()"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=folder,
        env=environment,
    )


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    folder = tmp_path_factory.mktemp("line with space")
    words = ["trace", "--size", "tiny", "--samples", "1", "--frames", "4", "--json", "--output", "results"]
    answer = focal(*words, "--simulate", "dense,focus,focus_sec_only", folder=folder)
    assert answer.returncode == 0, answer.stderr
    return folder, json.loads(answer.stdout)


def test_the_answer_is_one_json_document_with_trace_and_simulation(
    traced: tuple[Path, dict[str, object]],
) -> None:
    folder, answer = traced
    simulation = answer["simulation"]
    assert isinstance(simulation, dict)
    rows = {row["accelerator"]: row for row in simulation["rows"]}
    assert set(rows) == {"dense", "focus", "focus_sec_only"}
    assert all(row["cycles"] > 0 and row["energy_mj"] > 0 for row in rows.values())
    assert rows["focus"]["macs"] < rows["focus"]["dense_macs"]
    for path in simulation["paths"]:
        assert (folder / path).is_file()
    assert any(path.endswith(".png") for path in simulation["paths"])


def test_the_trace_can_be_simulated_again_without_torch(traced: tuple[Path, dict[str, object]]) -> None:
    folder, answer = traced
    blocked = (
        "import sys; sys.modules['torch'] = None; sys.modules['transformers'] = None;"
        "from focal.commands.main import main; main()"
    )
    words = ["sim", "--trace", "results", "--accelerator", "dense,focus", "--output", "again", "--no-figure"]
    again = subprocess.run(
        [sys.executable, "-c", blocked, *words], capture_output=True, text=True, check=False, cwd=folder
    )
    assert again.returncode == 0, again.stderr
    simulation = answer["simulation"]
    assert isinstance(simulation, dict)
    first = next(row for row in simulation["rows"] if row["accelerator"] == "focus")
    with (folder / "again" / "results.csv").open(newline="") as source:
        second = next(row for row in csv.DictReader(source) if row["accelerator"] == "focus")
    assert float(second["cycles"]) == first["cycles"]
    assert float(second["energy_mj"]) == first["energy_mj"]


def test_a_typo_in_an_accelerator_is_told_before_anything_runs(tmp_path: Path) -> None:
    words = ["trace", "--size", "tiny", "--samples", "1", "--frames", "4", "--output", "results"]
    answer = focal(*words, "--simulate", "focuss", folder=tmp_path)
    assert answer.returncode == 2
    assert "unknown accelerator 'focuss'; did you mean 'focus'" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not (tmp_path / "results").exists()
