"""Do accuracy rows of ``focal matrix`` leave their numbers where they say, start afresh or go on, and fail clearly?"""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lmms_eval", reason="lmms-eval is not installed; run 'sh scripts/setup_lmms_eval.sh'")

from evaluation_support import random_model_folder
from focal.commands.matrix import app
from focal.commands.running import run_command
from focal_algorithm.evaluation.lmms.answering import Answerer

ROW = "dense/own/shapes-pope"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("accuracy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOCAL_CACHE", str(folder / "cache"))
        patch.setenv("HF_HOME", str(folder / "hub"))
        for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE", "TQDM_DISABLE"):
            patch.setenv(name, "1")
        own = random_model_folder("image", folder / "own")
        (folder / "matrix.yaml").write_text(f"""
models: {{own: {{family: llava, checkpoint: "{own}"}}}}
datasets: {{shapes-pope: {{modality: image, task: shapes-pope}}, pope: {{modality: image, task: pope}}}}
suites:
  dense: {{models: [own], datasets: [shapes-pope], method: dense, measure: accuracy, samples: 2}}
  hub: {{models: [own], datasets: [pope], method: dense, measure: accuracy, samples: 2}}
""")
        yield folder


def run(place: Path, output: Path, *words: str) -> int:
    words = ("--profile", str(place / "matrix.yaml"), "--output", str(output), *words)
    return run_command(app, list(words))


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []
    answer = Answerer.answer

    def counted(self: Answerer, sample: Any, question: str, *others: Any) -> str:
        asked.append(question)
        return answer(self, sample, question, *others)

    monkeypatch.setattr(Answerer, "answer", counted)
    return asked


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as source:
        return list(csv.DictReader(source))


def test_accuracy_is_named_in_json_and_stands_among_the_results(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], answered: list[str]
) -> None:
    assert run(place, tmp_path, "--only", "dense", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    table = tmp_path / "accuracy" / "accuracy.csv"
    assert said == {
        "rows": 1,
        "failed": [],
        "results": str(tmp_path / "matrix_results.csv"),
        "tables": [str(table)],
    }
    (line,), (ours,) = rows(tmp_path / "matrix_results.csv"), rows(table)
    assert (line["row"], line["status"], line["task"]) == (ROW, "done", "shapes-pope")
    assert float(line["accuracy"]) == float(ours["accuracy"])
    assert line["config_sha256"] == ours["config_sha256"]
    assert (tmp_path / line["run"] / "samples.jsonl").is_file()

    # With --resume nothing is asked, also where tables are gone; without it everything is.
    assert run(place, tmp_path, "--only", "dense", "--resume") == 0
    said_again = " ".join(capsys.readouterr().out.split())
    assert f"1 of 1 rows done; wrote {tmp_path / 'matrix_results.csv'}, {table}" in said_again
    table.unlink()
    assert run(place, tmp_path, "--only", "dense", "--resume") == 0
    assert "are written again" in " ".join(capsys.readouterr().err.split())
    assert len(answered) == 2
    assert rows(table) == [ours]
    shutil.rmtree(tmp_path / "accuracy")
    assert run(place, tmp_path, "--only", "dense", "--resume") == 0
    assert len(answered) == 4
    assert [row | {"wall_time_s": ""} for row in rows(table)] == [ours | {"wall_time_s": ""}]
    assert run(place, tmp_path, "--only", "dense") == 0
    assert len(answered) == 6


def test_advice_is_one_that_a_matrix_takes(place: Path, tmp_path: Path) -> None:
    assert run(place, tmp_path, "--only", "hub", "--offline") == 1
    (line,) = rows(tmp_path / "matrix_results.csv")
    assert line["reason"].startswith("task 'pope' needs the data set")
    assert "a matrix with hub: true that is not run offline" in line["reason"]
    assert "--profile" not in line["reason"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--device", "gpu"), "device 'gpu' is no torch device"),
        (
            ("--checkpoint", "own=/nowhere"),
            "'/nowhere' is neither a folder nor a Hub name nor a shipped model",
        ),
        (("--data", "/nowhere"), "--data /nowhere: no such folder"),
    ],
)
def test_what_no_row_can_use_is_refused_before_the_first(
    words: tuple[str, ...], message: str, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(place, tmp_path / "out", "--only", "dense", *words) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_an_interruption_ends_the_matrix(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*values: Any) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(Answerer, "answer", interrupted)
    assert run(place, tmp_path, "--only", "dense") == 130
    assert rows(tmp_path / "matrix_results.csv") == []
