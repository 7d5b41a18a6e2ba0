"""Is every method lawful on prompts that it cannot or need not work on: one sentence, or nothing done?"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from contracts.conformance import REFUSALS, method_of, model_of, prompt_of
from focal.commands.running import run_command
from focal.commands.trace import app
from focal_algorithm.hooks import attach
from focal_algorithm.hooks.recorder import RecordedSample, Recorder
from focal_algorithm.methods import METHODS
from focal_algorithm.methods.base import hook_points
from focal_common.errors import FocalError, UnsupportedError

SUBJECT = "llava_onevision+video"
PIXELS = "pixel_values_videos"

each_method = pytest.mark.parametrize("name", list(METHODS))


def run(name: str, inputs: dict[str, Any], subject: str = SUBJECT) -> tuple[list[RecordedSample], Any]:
    loaded = model_of(subject)
    method = method_of(name, loaded)
    recorder = Recorder(loaded.geometry, method)
    with torch.inference_mode(), attach(loaded.model, loaded.adapter, method, recorder):
        output = loaded.model(**inputs)
    return recorder.samples, output


def inputs_of(change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    return change(dict(prompt_of(SUBJECT, model_of(SUBJECT)).inputs))


def pixels_times(factor: float) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda inputs: inputs | {PIXELS: inputs[PIXELS] * factor}


def is_sentence(text: str) -> bool:
    return "\n" not in text and 20 < len(text) < 300


@each_method
def test_a_prompt_without_visual_tokens_passes_through(name: str) -> None:
    token_ids = torch.tensor([list(b"Only text here.")])
    inputs = {"input_ids": token_ids, "attention_mask": torch.ones_like(token_ids)}
    with torch.inference_mode():
        untouched = model_of(SUBJECT).model(**inputs).logits
    samples, output = run(name, inputs)
    assert torch.equal(output.logits, untouched)
    assert samples[0].header.visual_tokens == 0


@each_method
def test_visual_tokens_at_the_very_end_work_or_are_refused_in_one_sentence(name: str) -> None:
    subject = "llava+image"  # no token of its own follows the picture
    prompt = prompt_of(subject, model_of(subject))
    stop = prompt.layout.visual_stop
    short = {key: prompt.inputs[key][:, :stop] for key in ("input_ids", "attention_mask")}
    if name in ("cdpruner", "dart", "focus", "focus_sec_only", "sparsevlm") or (name, subject) in REFUSALS:
        with pytest.raises(UnsupportedError) as refusal:
            run(name, prompt.inputs | short, subject)
        assert is_sentence(str(refusal.value))
        return
    samples, _ = run(name, prompt.inputs | short, subject)
    assert samples[0].header.sequence_tokens == stop


@each_method
def test_features_that_are_no_numbers_are_one_sentence(name: str) -> None:
    if not hook_points(method_of(name, model_of(SUBJECT))):
        pytest.skip("dense looks at nothing")
    with pytest.raises(FocalError, match="NaN") as failure:
        run(name, inputs_of(pixels_times(torch.nan)))
    assert is_sentence(str(failure.value))


@each_method
def test_pictures_of_one_colour_do_not_break_a_method(name: str) -> None:
    _, output = run(name, inputs_of(pixels_times(0.0)))
    assert bool(output.logits.isfinite().all())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method", "focus", "--method", "cmc"], "given 2 times (focus, cmc)"),
        (["--method", "focus,cmc"], "unknown method"),
        (["--device", "cdua"], "is no torch device"),
        (["--attn", "flash_attention_2"], "expected sdpa or eager"),
        (["--model", "mistral"], "unknown model"),
        (["--method", "visionzip", "--set", "dominant=5000"], "expected at most"),
        (["--method", "sparsezip", "--set", "k_min=9", "--set", "k_max=4"], "k_m"),
        (["--method", "framefusion", "--model", "qwen3_vl"], "other tokens lie between its frames"),
        (["--method", "visionzip", "--model", "minicpm_v"], "learned queries"),
    ],
)
def test_wrong_use_is_one_sentence(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = ["--size", "tiny", "--samples", "1", "--frames", "3", "--output", str(tmp_path / "out")]
    assert run_command(app, [*tiny, *words]) == 2
    said = re.sub(r"\s+", " ", capsys.readouterr().err)
    assert message in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


def test_a_budget_beyond_the_tokens_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--size", "tiny", "--samples", "1", "--frames", "2", "--output", str(tmp_path)]
    asked = ["--method", "sparsevlm", "--set", "retained_tokens=192"]
    assert run_command(app, [*words, *asked]) == 0
    assert "sparsevlm left out nothing in any prompt" in re.sub(r"\s+", " ", capsys.readouterr().err)
