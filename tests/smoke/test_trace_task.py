"""Does ``focal trace --task`` give the answers of ``focal eval``, count them all, and refuse wrong use?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evaluation_support import model_folder
from focal.commands.main import VERBS
from focal.commands.running import run_command
from focal.commands.trace import app
from focal_algorithm.evaluation.lmms.answering import Answerer
from focal_algorithm.evaluation.lmms.options import ModelOptions
from focal_algorithm.tasks.asking import AskedTask
from focal_traces.files.store import open_trace

ASKED = ("--task", "shapes-video", "--frames", "4", "--questions", "4", "--samples", "2")


@pytest.fixture(scope="module", autouse=True)
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("asked")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOCAL_CACHE", str(folder / "cache"))
        yield folder


@pytest.fixture(scope="module")
def video(small_data: Path) -> Path:
    return model_folder("video", small_data / "video", ("yes", "no", "1", "2", "red", "left"))


def trace(capsys: pytest.CaptureFixture[str], output: Path, *words: str) -> dict[str, Any]:
    assert run_command(app, [*ASKED, "--output", str(output), "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)


def answers(video: Path, method: str, precision: str = "float") -> list[str]:
    """As `focal eval` answers, question by question, without lmms-eval."""
    answerer = Answerer(ModelOptions(model=str(video), method=method, precision=precision))  # type: ignore[arg-type]
    task = AskedTask("shapes-video", questions=4, samples=2, frames=4)
    return [answerer.answer(one.media(), one.question.text, "shapes-video", 4) for one in task.load()]


@pytest.mark.parametrize("precision", ["float", "int8"])
def test_answers_are_those_of_the_evaluation(
    precision: str, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--model", str(video), "--precision", precision, "--against-dense")
    found = trace(capsys, tmp_path, *words)
    assert [one["answer"] for one in found["samples"]] == answers(video, "focus", precision)
    assert [one["dense_answer"] for one in found["samples"]] == answers(video, "dense", precision)
    accuracy = json.loads(Path(found["files"]["accuracy"]).read_text())
    assert accuracy == found["accuracy"]
    assert accuracy["n"] == 4
    assert accuracy["right"] == sum(one["is_right"] for one in found["samples"])
    assert accuracy["unparsable"] == sum(not one["is_parsable"] for one in found["samples"])
    assert accuracy["precision"] == ("fp32" if precision == "float" else "int8")
    header = open_trace(Path(found["files"]["counts"])).header
    assert (header.dataset, header.quantization != "") == ("shapes-video", precision == "int8")
    assert accuracy["linear_layers"] == (header.quantization or "in fp32")


@pytest.mark.parametrize(("model", "is_foreign"), [("shapes_video", True), ("shapes_image", False)])
def test_a_shipped_model_asked_about_other_pictures_says_so(
    model: str, is_foreign: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--task", "shapes-pope", "--questions", "2", "--samples", "1", "--method", "dense")
    assert run_command(app, ["--model", model, *words, "--output", str(tmp_path)]) == 0
    said = capsys.readouterr()
    found = " ".join((said.out + said.err).split())
    assert ("about other pictures (shapes-pope) mean nothing" in found) == is_foreign


def test_unparsable_answers_are_counted_and_files_repeat(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--model", "llava_onevision", "--size", "tiny", "--questions", "2", "--samples", "1")
    contents = []
    for name in ("one", "two"):
        found = trace(capsys, tmp_path / name, *words)
        # A byte-wise tokenizer on random weights says no word of the benchmark.
        assert (found["accuracy"]["n"], found["accuracy"]["unparsable"]) == (2, 2)
        assert found["accuracy"]["accuracy"] == 0
        files = [p for p in sorted((tmp_path / name).rglob("*")) if p.is_file() and "manifest" not in p.name]
        contents.append({p.relative_to(tmp_path / name): p.read_bytes() for p in files})
    assert contents[0] == contents[1]


def test_one_table_holds_accuracy_speed_and_energy(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*ASKED, "--model", str(video), "--against-dense", "--simulate", "dense,focus,focus_sec_only"]
    assert run_command(app, [*words, "--output", str(tmp_path)]) == 0
    told = capsys.readouterr()
    printed = told.out
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if "│" in line]
    assert [line[0] for line in lines] == ["dense", "focus", "focus"]
    headings = printed[: printed.index("│")]
    place = lines[0].index("dense", 1)  # of the accelerator
    assert [line[place] for line in lines] == ["dense", "focus", "focus_sec_only"]
    for name in ("accuracy", "cycles", "speed-up", "area", "(mm2)"):
        assert name in headings
    # One method, one accuracy, whatever runs its trace; every cell but dense minus dense is known.
    assert lines[1][:place] == lines[2][:place]
    assert [line.count("") for line in lines] == [1, 0, 0]
    accuracy = json.loads(next(tmp_path.rglob("*.accuracy.json")).read_text())
    assert lines[1][1] == f"{accuracy['accuracy']:.1f} %"
    assert lines[0][1] == f"{accuracy['dense']['accuracy']:.1f} %"
    assert lines[1][3] == f"{accuracy['accuracy'] - accuracy['dense']['accuracy']:+.1f}"
    said = " ".join(printed.split())
    assert "FP16 hardware is simulated" not in told.err
    assert "measured on 4 questions about 2 samples" in printed
    assert f"{accuracy['right']} answered right" in said
    assert (tmp_path / "simulation" / "results.csv").is_file()
    # Without dense in the run the ratio is the same, and the line below the table says what it is over.
    alone = [*ASKED, "--model", str(video), "--simulate", "focus", "--output", str(tmp_path / "alone")]
    assert run_command(app, alone) == 0
    printed = capsys.readouterr().out
    line = next(line for line in printed.splitlines() if line.startswith("│focus"))
    assert [cell.strip() for cell in line.split("│")[-6:-1]] == lines[1][-5:]
    basis = "over dense in this run: same overrides and cost models. Dense was run for them and is not shown."
    assert basis in " ".join(printed.split())
    assert "same overrides and cost models." in said


def test_8_bit_layers_on_fp16_hardware_are_said(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*ASKED, "--model", str(video), "--simulate", "dense", "--precision", "int8"]
    assert run_command(app, [*words, "--output", str(tmp_path)]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "linear layers of the forward were quantised, but FP16 hardware is simulated" in said
    again = ["--trace", str(tmp_path), "--variant", "focus_int8", "--accelerator", "dense", "--no-figure"]
    for precision, is_said in (("fp16", True), ("int8", False)):
        given = [*again, "--precision", precision, "--output", str(tmp_path / precision)]
        assert run_command(VERBS.load("sim"), given) == 0
        told = " ".join(capsys.readouterr().err.split())
        assert ("FP16 hardware is simulated" in told) == is_said


def test_words_that_the_model_does_not_know_are_named(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", str(video), "--samples", "1", "--frames", "2", "--prompt", "is there a red zebra?"]
    assert run_command(app, [*words, "--output", str(tmp_path)]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "does not know 'zebra', which its tokenizer reads as unknown" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--task", "shapes-vidio"), "did you mean 'shapes-video'"),
        (("--task", "shapes-video", "--prompt", "x"), "expected no --prompt"),
        (("--task", "shapes-video", "--video", "a.mp4"), "expected no videos"),
        (("--task", "shapes-video", "--new-tokens", "0"), "new_tokens must be at least 1"),
        (("--questions", "3"), "--questions needs --task"),
        (("--against-dense",), "--against-dense needs --task"),
        (("--task", "shapes-video", "--questions", "99", "--samples", "1"), "give more samples"),
        (("--task", "shapes-video", "--model", "llava"), "llava takes no videos"),
        (("--model", "shapes_vidio"), "did you mean 'shapes_video'"),
    ],
)
def test_wrong_use_is_one_sentence(
    words: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--size", "tiny", "--frames", "4", "--output", str(tmp_path / "out"))
    assert run_command(app, [*given, *words]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert message in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()
