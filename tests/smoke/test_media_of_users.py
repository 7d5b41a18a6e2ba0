"""Is a file that is turned, damaged or no video the same to trace, show, eval and Python, and is its note seen?"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

import focal
from focal.commands.running import run_command
from focal.commands.show import app as show_app
from focal.commands.trace import app as trace_app
from focal_algorithm.evaluation.lmms import answering
from focal_algorithm.evaluation.lmms.model import FocalModel
from focal_algorithm.evaluation.lmms.options import ModelOptions
from focal_algorithm.matrix.progress import RowProgress
from focal_algorithm.tracing.journal import FinishedSample
from focal_algorithm.tracing.prompting import Prompt, build_prompt
from focal_algorithm.tracing.runner import gather, trace_of
from focal_algorithm.tracing.settings import RunSettings
from focal_evaluation.overlays.loading import read_sample

CLIPS = Path(__file__).resolve().parents[1] / "data" / "media"
TRACE = [
    "--model",
    "llava_onevision",
    "--size",
    "tiny",
    "--method",
    "dense",
    "--frames",
    "3",
    "--new-tokens",
    "1",
]
COUNT = (
    "turned.mp4: 1 damaged packet was skipped (Invalid data found when processing input); "
    "the other 5 frames are used"
)


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip that is to be turned by 90 degrees, with its third packet overwritten."""
    source = CLIPS / "turned_90.mp4"
    with av.open(str(source)) as container:
        third = [packet for packet in container.demux(video=0) if packet.size][2]
    content = bytearray(source.read_bytes())
    content[third.pos : third.pos + third.size] = b"\xff" * third.size
    path = tmp_path_factory.mktemp("clips") / "turned.mp4"
    path.write_bytes(content)
    return path


@pytest.fixture(scope="module")
def traced(turned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    assert run_command(trace_app, [*TRACE, "--video", str(turned), "--output", str(root)]) == 0
    return root / "dense"


def test_trace_keeps_the_note_in_its_files_and_prints_it(
    turned: Path, traced: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (manifest,), (samples,) = traced.glob("*.manifest.json"), traced.glob("*.samples.json")
    assert json.loads(manifest.read_text())["media_notes"] == [COUNT]
    assert json.loads(samples.read_text())[0]["notes"] == [COUNT]
    assert run_command(trace_app, [*TRACE, "--video", str(turned), "--output", str(tmp_path)]) == 0
    assert f"note: {COUNT}" in " ".join(capsys.readouterr().err.split())
    whole = CLIPS / "turned_90.mp4"
    assert run_command(trace_app, [*TRACE, "--video", str(whole), "--output", str(tmp_path)]) == 0
    assert "turned" not in capsys.readouterr().err
    assert "media_notes" not in next((tmp_path / "dense").glob("*.manifest.json")).read_text()


def test_show_draws_frames_upright_and_repeats_the_note(
    traced: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (counts,) = traced.glob("*.counts.parquet")
    picture = read_sample(counts, "").pictures[0]
    with Image.open(CLIPS / "turned_90.png") as by_ffmpeg:
        side = (picture.shape[1], picture.shape[0])
        upright = np.asarray(by_ffmpeg.convert("RGB").resize(side, Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(picture - upright).mean() < 3
    assert min(np.abs(picture - np.rot90(upright, turn)).mean() for turn in (1, 2, 3)) > 30
    assert run_command(show_app, [str(counts), "-o", str(tmp_path / "a.png")]) == 0
    assert f"note: {COUNT}" in " ".join(capsys.readouterr().err.split())


def test_python_and_evaluation_read_the_same_pixels_and_say_the_same(
    turned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, processor = focal.load_model("llava_onevision", size="tiny")
    with pytest.warns(UserWarning, match="1 damaged packet was skipped") as said:
        inputs = processor("Who?", videos=str(turned))
    assert str(said[0].message) == COUNT
    traced = focal.trace("llava_onevision", "dense", size="tiny", videos=[turned], question="Who?")
    assert COUNT in traced.notes

    options = ModelOptions(model="llava_onevision", size="tiny", answers=tmp_path / "answers.jsonl")
    shown: list[torch.Tensor] = []

    def watched(*arguments: Any) -> Prompt:
        prompt = build_prompt(*arguments)
        shown.append(prompt.inputs["pixel_values_videos"])
        return prompt

    monkeypatch.setattr(answering, "build_prompt", watched)
    settings = {"max_new_tokens": 1, "until": []}
    for asked in (1, 0):  # the second time it is answered from the file
        evaluated = FocalModel(options, answering.load(options))
        evaluated.task_dict = {"own": {"test": [{"id": 0}]}}
        request = SimpleNamespace(args=("Who?", settings, lambda document: [str(turned)], 0, "own", "test"))
        shown.clear()
        evaluated.generate_until([request])
        evaluated.log.close()
        assert evaluated.notes == (COUNT,)
        assert len(shown) == asked
        assert all(torch.equal(pixels, inputs["pixel_values_videos"]) for pixels in shown)


def test_a_resumed_row_of_a_matrix_keeps_the_note(turned: Path, tmp_path: Path) -> None:
    settings = RunSettings(
        output=tmp_path, model="llava_onevision", size="tiny", method="dense", videos=(turned,), frames=2
    )
    done = gather(settings)
    journal = RowProgress(tmp_path / "row", "identity").journal
    alone = trace_of(settings, done.loaded, done.method, done.traced)
    journal.save(0, FinishedSample(alone, done.traced[0], 0.0, (), ()), {})
    assert journal.load(0).traced.notes == done.traced[0].notes == (COUNT,)


@pytest.mark.parametrize("name", ["empty.mp4", "noise.mp4", "song_with_cover.m4a", "empty.jpg", "noise.jpg"])
def test_files_without_pictures_are_one_sentence(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = CLIPS / name
    if not path.is_file():
        path = tmp_path / name
        path.write_bytes(b"" if name.startswith("empty") else b"neither picture nor film" * 40)
    kind = "--image" if name.endswith("jpg") else "--video"
    assert run_command(trace_app, [*TRACE, kind, str(path), "--output", str(tmp_path / "out")]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(said) == 1
    assert said[0].startswith(f"error: {path}: ")
    assert not list(tmp_path.glob("out/**/*.parquet"))
