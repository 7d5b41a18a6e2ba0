"""Does one command trace and simulate every family?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import attach_support as support
from focal.commands.running import run_command
from focal.commands.trace import app
from focal_algorithm.models import MODELS

SMALL = ["--size", "tiny", "--frames", "2", "--samples", "1", "--json"]


@pytest.mark.parametrize("family", [name for name in MODELS if name != "gemma3"])
def test_a_family_is_traced_and_simulated(
    family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(app, [*SMALL, "--model", family, "--simulate", "all", "--output", str(tmp_path)]) == 0
    printed = json.loads(capsys.readouterr().out)
    sample = printed["samples"][0]
    assert printed["model"] == family
    assert sample["visual_tokens_by_layer"][-1] < sample["visual_tokens"]
    assert sample["answer"] is not None
    text = json.dumps(printed["simulation"])
    assert '"focus"' in text
    assert '"dense"' in text


def test_windows_are_traced_and_no_accelerator_takes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*SMALL, "--model", "gemma3", "--output", str(tmp_path)]
    assert run_command(app, words) == 0
    sample = json.loads(capsys.readouterr().out)["samples"][0]
    assert sample["visual_tokens_by_layer"][-1] < sample["visual_tokens"]
    assert run_command(app, [*words, "--simulate", "all"]) == 2
    assert "window" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("llava_video", "llava_video takes no images; expected video"),
        ("llava", None),
    ],
)
def test_a_picture_that_a_family_does_not_take_is_one_sentence(
    family: str, message: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    support.picture(1, 90, 70).save(tmp_path / "photo.png")
    words = ["--size", "tiny", "--model", family, "--image", str(tmp_path / "photo.png")]
    code = run_command(app, [*words, "--output", str(tmp_path / "out")])
    error = capsys.readouterr().err
    assert code == (2 if message else 0)
    if message:
        assert message in error.replace("\n", " ")
        assert "Traceback" not in error
        assert not (tmp_path / "out").exists()
