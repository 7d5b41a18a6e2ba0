"""Does ``focal matrix`` run rows, go on after an interruption, outlive a failure, and refuse wrong files?"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from focal.commands.matrix import app
from focal.commands.running import run_command
from focal_algorithm.tracing import runner

SMALL = """
models:
  one: {family: llava_onevision, frames: 2}
  still: {family: llava_video, frames: 2}
datasets:
  photographs: {modality: video}
suites:
  focus: {models: [one], datasets: [photographs], method: focus, samples: 3}
  broken: {models: [one], datasets: [photographs], method: visionzip, parameters: {dominant: 500}, samples: 2}
  last: {models: [still], datasets: [photographs], method: dense, samples: 1, masks: true}
"""


def write(folder: Path, text: str = SMALL) -> Path:
    path = folder / "matrix.yaml"
    path.write_text(text)
    return path


def run(path: Path | str, output: Path, *words: str) -> int:
    return run_command(app, ["--profile", str(path), "--output", str(output), *words])


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and "manifest" not in path.name)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def results(folder: Path) -> list[dict[str, str]]:
    with (folder / "matrix_results.csv").open(newline="") as source:
        return list(csv.DictReader(source))


def test_an_interrupted_matrix_resumes_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path)
    assert run(path, tmp_path / "whole", "--only", "focus,last") == 0
    traced: list[str] = []
    real = runner.trace_sample

    def interrupted(settings: Any, prepared: Any, method: Any, source: Any) -> Any:
        if len(traced) == 2:
            raise KeyboardInterrupt
        one = real(settings, prepared, method, source)
        traced.append(one.recorded.header.sample_id)
        return one

    monkeypatch.setattr(runner, "trace_sample", interrupted)
    assert run(path, tmp_path / "parts", "--only", "focus,last") == 130
    assert [row["status"] for row in results(tmp_path / "parts")] == ["done", "done"]

    def counted(settings: Any, prepared: Any, method: Any, source: Any) -> Any:
        one = real(settings, prepared, method, source)
        traced.append(one.recorded.header.sample_id)
        return one

    monkeypatch.setattr(runner, "trace_sample", counted)
    assert run(path, tmp_path / "parts", "--only", "focus,last", "--resume") == 0
    assert len(traced) == 4  # three of the first row, each once, and one of the last
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")
    assert run(path, tmp_path / "parts", "--only", "focus,last", "--resume") == 0
    assert len(traced) == 4
    rows = results(tmp_path / "whole")
    assert [row["row"] for row in rows] == ["focus/one/photographs"] * 3 + ["last/still/photographs"]
    assert [row["is_chosen"] for row in rows[:3]].count("True") == 1
    assert all(float(row["equivalent_tokens"]) > 0 for row in rows)


def test_a_failed_row_leaves_its_reason_and_the_rest_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(write(tmp_path), tmp_path / "out", "--only", "broken,last", "--json") == 1
    assert json.loads(capsys.readouterr().out)["failed"] == ["broken/one/photographs"]
    rows = results(tmp_path / "out")
    assert [row["status"] for row in rows] == ["failed", "done"]
    assert "expected at most 9" in rows[0]["reason"]


def test_the_chosen_sample_can_be_named(tmp_path: Path) -> None:
    assert run(write(tmp_path), tmp_path / "out", "--only", "focus", "--choose", "2") == 0
    assert [row["is_chosen"] for row in results(tmp_path / "out")] == ["False", "False", "True"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("method: focus", "method: focuss", "did you mean 'focus'"),
        ("samples: 3", "sample: 3", "did you mean 'samples'"),
        ("samples: 3", "samples: 3, samples: 4", "duplicate key"),
        ("family: llava_video", "family: llava_vide", "did you mean 'llava_video'"),
        ("models: [one]", "models: [won]", "unknown name 'won'"),
        ("samples: 3", "samples: 0", "at least 1"),
        ("samples: 3", "samples: 3, choose: 5", "choose must be below samples"),
    ],
)
def test_wrong_files_are_one_sentence(
    old: str, new: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(write(tmp_path, SMALL.replace(old, new, 1)), tmp_path / "out", "--list") == 2
    error = " ".join(capsys.readouterr().err.split())
    assert message in error
    assert error.startswith("error: ")


def test_wrong_words_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        (("--profile", "papers"), "did you mean 'paper'"),
        (("--only", "focos"), "did you mean 'focus'"),
        (("--checkpoint", "llava=x=y", "--only", "nothing"), "fits no row"),
        (("--checkpoint", "lava=x"), "did you mean 'llava'"),
        (("--choose", "middle"), "choose"),
    ):
        assert run_command(app, [*words, "--output", str(tmp_path / "out")]) == 2
        assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_a_paper_row_without_checkpoint_is_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data" / "mme").mkdir(parents=True)
    (tmp_path / "data" / "mme" / "a.png").write_bytes(b"")
    row = ("--only", "focus_image/qwen2_5_vl/mme", "--samples", "1", "--offline", "--device", "cpu")
    assert run("paper", tmp_path / "out", *row) == 1
    assert "give a data folder" in results(tmp_path / "out")[0]["reason"]
    assert run("paper", tmp_path / "out", *row, "--data", str(tmp_path / "data")) == 1
    reason = results(tmp_path / "out")[0]["reason"]
    assert reason.startswith(
        "Qwen/Qwen2.5-VL-7B-Instruct, revision main: the checkpoint is not in the local cache"
    )


def test_the_published_matrix_is_what_the_scripts_of_the_artifact_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def rows(only: str) -> list[str]:
        assert run_command(app, ["--profile", "paper", "--only", only, "--list", "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    assert len(rows("focus")) == len(rows("focus_int8")) == len(rows("cmc_full")) == 9
    assert len(rows("focus_image")) == 6
    assert len(rows("dse")) == 22
    assert "dse/llava_vid/mlvu/vector_size_dse/8" in rows("dse")


def test_published_models_can_be_built_without_weights(capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "--profile",
        "paper",
        "--only",
        "focus/*/mlvu,focus_image/*/mme,sparsevlm/*/mlvu",
        "--check",
        "--json",
    ]
    assert run_command(app, words) == 0
    checked = {row["row"]: row["billions"] for row in json.loads(capsys.readouterr().out)}
    assert checked["focus/minicpm_v/mlvu"] == pytest.approx(8.10, rel=0.005)
    assert checked["focus_image/qwen2_5_vl/mme"] == pytest.approx(8.29, rel=0.005)


def test_every_preset_row_of_the_offline_profile_is_lawful(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(app, ["--check", "--json"]) == 0
    assert not any(row["problem"] for row in json.loads(capsys.readouterr().out))
