"""Do ``focal data`` and ``focal train`` run end to end, and refuse wrong use in one sentence?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from focal.commands.data import app as data_app
from focal.commands.running import run_command
from focal.commands.trace import app as trace_app
from focal.commands.train import app as train_app


def test_data_show_prints_questions_and_writes_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["show", "shapes-video", "--samples", "2", "--set", "frames=8", "--cache", str(tmp_path)]
    assert run_command(data_app, [*words, "--json", "--output", str(tmp_path / "sheet.png")]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["manifest"]["questions"] == sum(len(one["questions"]) for one in shown["samples"])
    assert Image.open(tmp_path / "sheet.png").size == (1024, 256)
    assert run_command(data_app, [*words]) == 0
    assert "shapes-video-0-test-1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["show", "shapes-vidio"], "did you mean 'shapes-video'"),
        (["show", "shapes-pope", "--set", "variant=rare"], "unknown variant"),
        (["show", "shapes-mme", "--set", "frames=8"], "has no option 'frames'"),
        (["show", "shapes-video", "--set", "frame=8"], "did you mean 'frames'"),
        (["show", "shapes-video", "--set", "seed=3"], "seed, split, samples and cache are given as --NAME"),
        *(
            (["show", "shapes-video", "--set", f"frames={value}"], "a whole number from 4 to 32")
            for value in ("0", "1", "true", "-3", "3", "64", "abc", "8.0")
        ),
        (["show", "shapes-video", "--set", "rounds=0"], "rounds of shapes-video must be a whole number"),
        (["show", "shapes-video", "--set", "more={relaton: 2}"], "did you mean 'relation'"),
        (["show", "shapes-video", "--set", "more=3"], "must map sub-tasks to numbers"),
        (["show", "shapes-pope", "--set", "variant=3"], "unknown variant '3'"),
        (["show", "shapes-mme", "--output", "v.jpg"], "expected a name that ends in .png"),
        (["show", "shapes-mme", "--split", "all"], "unknown split"),
    ],
)
def test_data_refuses_wrong_use(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(data_app, [*words, "--cache", str(tmp_path)]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_short_training_makes_a_model_that_traces(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from focal_algorithm.training import recipe as recipes
    from focal_algorithm.training.recipe import Stage

    full = recipes.recipe("video")
    short = replace(full, vision=Stage(1, 2, 2), stages=(Stage(4, 1, 2),))
    monkeypatch.setattr(recipes, "recipe", lambda name: short)
    run = tmp_path / "run"
    assert run_command(train_app, ["video", "--output", str(run), "--threads", "1"]) == 0
    folder = run / "model"
    assert (folder / "training.svg").read_text().startswith("<?xml")
    assert json.loads((folder / "weights.json").read_text())["sha256"].keys() >= {
        "processor_config.json",
        "video_preprocessor_config.json",
        "chat_template.jinja",
    }
    capsys.readouterr()
    words = ["check", "video", "--weights", str(folder), "--questions", "12", "--threads", "1", "--json"]
    assert run_command(train_app, [*words, "--card", str(tmp_path / "card.md")]) == 1, "untrained: must fail"
    found = json.loads(capsys.readouterr().out)
    assert found["accuracy"]["dense"]["all"] < 0.5
    assert "criteria hold" in (tmp_path / "card.md").read_text()
    traced = ["--model", str(folder), "--samples", "1", "--frames", "2", "--output", str(tmp_path / "traces")]
    assert run_command(trace_app, [*traced, "--prompt", "is there a red ring?", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["checkpoint"] == "model"
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert run_command(train_app, words) == 2
    assert "sha256" in capsys.readouterr().err


def test_a_group_without_a_command_is_its_help_and_no_empty_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(data_app, []) == 2
    said = capsys.readouterr()
    assert "show" in said.out + said.err
    assert "error" not in said.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["check", "audio"], "unknown model 'audio'"),
        (["check", "video", "--threads", "0", "--questions", "2"], "--threads must be at least 1, got 0"),
        (["check", "video", "--notes", "nowhere.md"], "expected a readable text file"),
        (["video", "--scale", "0"], "--scale positive"),
        (["video", "--scale", "nan"], "--scale: 'nan' is no finite number"),
        (["video", "--output", __file__], "is a file, expected a folder"),
        (["video", "--device", "tpu"], "device must be cpu or cuda, got 'tpu' (--device)"),
        (["check", "video", "--weights", "nowhere"], "weights.json"),
        (["video", "--threads", "0"], "--threads must be at least 1"),
    ],
)
def test_training_refuses_wrong_use(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(train_app, words) == 2
    assert message in " ".join(capsys.readouterr().err.split())
