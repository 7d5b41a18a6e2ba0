"""Does `focal eval` give true numbers through lmms-eval, resume, and agree with lmms-eval's own command line?"""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("lmms_eval", reason="lmms-eval is not installed; run 'sh scripts/setup_lmms_eval.sh'")

from evaluation_support import model_folder
from focal.commands import compare as cli_compare
from focal.commands import eval as cli_eval
from focal.commands import trace as cli
from focal.commands.running import run_command
from focal_algorithm.checkpoints.loading import load_model
from focal_algorithm.checkpoints.quantization import quantize
from focal_algorithm.evaluation.lmms import TASK_FOLDER
from focal_algorithm.evaluation.lmms.answering import Answerer
from focal_algorithm.evaluation.lmms.options import options_from_arguments
from focal_algorithm.evaluation.lmms.run_files import SAMPLES
from focal_algorithm.methods.focus import Focus
from focal_algorithm.tasks.asking import parse_choice
from focal_algorithm.tasks.store import load_split
from focal_algorithm.tracing.prompting import build_prompt
from focal_common.files import sha256_of_file
from focal_common.provenance import content_hash

ROOT = Path(__file__).parents[2]
LIMIT = 8


@pytest.fixture(scope="module", autouse=True)
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Keep generated data and caches out of the home folder."""
    folder = tmp_path_factory.mktemp("evaluation")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOCAL_CACHE", str(folder / "cache"))
        patch.setenv("HF_HOME", str(folder / "hub"))
        for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE", "TQDM_DISABLE"):
            patch.setenv(name, "1")
        torch.set_num_threads(1)
        yield folder


@pytest.fixture(scope="module")
def image(small_data: Path) -> Path:
    return model_folder("image", small_data / "image", ("yes", "no", "red"))


@pytest.fixture(scope="module")
def video(small_data: Path) -> Path:
    return model_folder("video", small_data / "video", ("yes", "no", "1", "2", "red", "left"))


def focal(output: Path, *words: str) -> None:
    assert run_command(cli_eval.app, ["--output_path", str(output), *words]) == 0


@pytest.fixture(scope="module")
def dense(image: Path, small_data: Path) -> Path:
    """One run that several tests look at."""
    focal(
        small_data / "dense",
        "--model",
        str(image),
        "--tasks",
        "shapes-pope,shapes-mme",
        "--limit",
        str(LIMIT),
    )
    return small_data / "dense"


def samples(output: Path, task: str = "") -> list[dict[str, Any]]:
    (path,) = (output / "runs").glob(f"*/{SAMPLES}")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [row for row in rows if task in row["task"]]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as source:
        return list(csv.DictReader(source))


def test_accuracy_is_that_of_a_loop_without_lmms_eval(image: Path, dense: Path) -> None:
    loaded = load_model(
        str(image), size="", seed=0, dtype="fp32", attention="sdpa", device="cpu", is_offline=True
    )
    for task, count, options in (("shapes-pope", 200, {"variant": "adversarial"}), ("shapes-mme", 600, {})):
        split = load_split(task, seed=0, split="test", samples=count, **options)
        asked = [(sample, one) for sample in split.samples for one in sample.questions][:LIMIT]
        right, lost = 0, 0
        for (sample, one), found in zip(asked, samples(dense, task), strict=True):
            prompt = build_prompt(loaded, sample.media(), one.text)
            with torch.inference_mode():
                output = loaded.model.generate(**prompt.inputs, max_new_tokens=4, do_sample=False)
            answer = loaded.tokenizer.decode(output[0, prompt.layout.sequence_tokens :].tolist()).strip()
            assert (found["answer"], found["target"]) == (answer, one.answer)
            said = parse_choice(answer, one.choices)
            right, lost = right + (said == one.answer), lost + (said is None)
        row = next(row for row in table(dense / "accuracy.csv") if row["dataset"] == task)
        assert (row["model"], row["method"], row["precision"], row["unit"]) == (
            "llava",
            "dense",
            "fp32",
            "percent",
        )
        assert float(row["accuracy"]) == pytest.approx(100 * right / LIMIT, abs=0.005)
        assert (int(row["n"]), int(row["unparsable"])) == (LIMIT, lost)
        assert lost < LIMIT  # else this test would show nothing
        assert float(row["low"]) <= float(row["accuracy"]) <= float(row["high"])
    score = next(row for row in table(dense / "accuracy.csv") if row["unit"] == "score")
    assert score["dataset"] == "shapes-mme"


def test_interrupted_evaluation_resumes_to_the_same_samples(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--model", str(image), "--method", "focus", "--tasks", "shapes-pope", "--limit", str(LIMIT))
    focal(tmp_path / "whole", *words)
    answered: list[str] = []
    answer = Answerer.answer

    def counted(self: Answerer, *arguments: Any) -> str:
        if len(answered) == 3:
            answered.append("stop")
            raise KeyboardInterrupt
        answered.append(arguments[1])
        return answer(self, *arguments)

    monkeypatch.setattr(Answerer, "answer", counted)
    assert run_command(cli_eval.app, ["--output_path", str(tmp_path / "cut"), *words]) == 130
    assert not (tmp_path / "cut" / "accuracy.csv").exists()
    focal(tmp_path / "cut", *words)
    assert len(answered) == LIMIT + 1  # three, the interruption, and only the rest
    assert samples(tmp_path / "cut") == samples(tmp_path / "whole")
    cut, whole = (table(tmp_path / name / "accuracy.csv") for name in ("cut", "whole"))
    assert [row | {"wall_time_s": ""} for row in cut] == [row | {"wall_time_s": ""} for row in whole]


@pytest.mark.parametrize("method", ["dense", pytest.param("focus", marks=pytest.mark.slow)])
def test_command_line_of_lmms_eval_gives_the_same_numbers(
    method: str, image: Path, dense: Path, tmp_path: Path
) -> None:
    ours_at = dense
    if method != "dense":
        ours_at = tmp_path / "ours"
        words = ("--model", str(image), "--tasks", "shapes-pope", "--limit", str(LIMIT))
        focal(ours_at, *words, "--method", method)
    # The entry point as an installation of pyproject.toml leaves it, whether this tree is installed or not.
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][
        "lmms_eval.models"
    ]
    installed = tmp_path / "plug" / "focal_plug-0.dist-info"
    installed.mkdir(parents=True)
    lines = "".join(f"{name} = {target}\n" for name, target in points.items())
    (installed / "entry_points.txt").write_text(f"[lmms_eval.models]\n{lines}")
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: focal-plug\nVersion: 0\n")
    command = [
        sys.executable,
        "-m",
        "lmms_eval",
        "--model",
        "focal",
        "--model_args",
        f"model={image},method={method}",
    ]
    command += ["--tasks", "shapes-pope", "--include_path", str(TASK_FOLDER), "--limit", str(LIMIT)]
    command += ["--batch_size", "1", "--log_samples", "--output_path", str(tmp_path / "theirs")]
    sources = [str(ROOT / name) for name in ("common", "traces", "algorithm", "simulator")]
    path = os.pathsep.join([*sources, str(installed.parent)])
    done = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (results,) = (tmp_path / "theirs").rglob("*_results.json")
    (logged,) = (tmp_path / "theirs").rglob("*_samples_shapes-pope.jsonl")
    theirs = json.loads(results.read_text())["results"]["shapes-pope"]
    ours = table(ours_at / "accuracy.csv")[0]
    assert float(ours["accuracy"]) == pytest.approx(100 * theirs["accuracy,none"], abs=0.005)
    # Its standard error is that of fractions, and only where the metric is a mean.
    deviation = statistics.stdev(row["score"] for row in samples(ours_at, "shapes-pope"))
    assert theirs["accuracy_stderr_clt,none"] == pytest.approx(deviation / LIMIT**0.5)
    assert theirs["pope_f1_stderr_clt,none"] == "N/A"
    rows = sorted(map(json.loads, logged.read_text().splitlines()), key=lambda row: row["doc_id"])
    assert [row["accuracy"] for row in rows] == [row["score"] for row in samples(ours_at, "shapes-pope")]
    (summary,) = ours_at.rglob("summary.json")
    metrics = json.loads(summary.read_text())["metrics"]["shapes-pope"]
    assert {name: theirs[f"{name},none"] for name in metrics} == pytest.approx(metrics)


def test_sweep_writes_a_table_and_runs_compare(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--model", str(video), "--tasks", "shapes-video", "--limit", "4", "--method", "focus")
    focal(tmp_path, *words, "--sweep", "vector_size=16,32", "--log_samples")
    rows = table(tmp_path / "dse_vector_size_accuracy.csv")
    assert [(row["swept"], row["value"], row["dataset"]) for row in rows] == [
        ("vector_size", value, "shapes-video") for value in ("16", "32")
    ]
    assert len({row["config_sha256"] for row in rows}) == 2
    focal(tmp_path / "block", *words, "--sweep", "frame_block_size+block_size=1x2")
    (row,) = table(tmp_path / "block" / "dse_block_size_accuracy.csv")
    assert (row["swept"], row["value"]) == ("block_size", "1x2x2")
    assert list(tmp_path.rglob("*_samples_shapes-video.jsonl"))
    folders = sorted((tmp_path / "runs").iterdir())
    capsys.readouterr()
    assert run_command(cli_compare.app, [*map(str, folders), "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert (record["dataset"], record["questions"], record["pictures"]) == ("shapes-video", 4, 1)


@pytest.mark.parametrize(("model", "is_foreign"), [("shapes_video", True), ("shapes_image", False)])
def test_a_shipped_model_asked_about_other_pictures_says_so(
    model: str, is_foreign: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    focal(tmp_path, "--model", model, "--tasks", "shapes-pope", "--limit", "2", "--json")
    said = capsys.readouterr()
    (record,) = json.loads(said.out)
    assert ("mean nothing" in " ".join(said.err.split())) == is_foreign
    assert len(record["notes"]) == is_foreign
    if is_foreign:
        assert record["notes"][0].startswith("shapes_video was trained on shapes-video alone")


def test_int8_is_a_run_of_its_own_and_says_so(image: Path, tmp_path: Path) -> None:
    words = ("--model", str(image), "--tasks", "shapes-pope", "--limit", "3", "--output_path", str(tmp_path))
    assert run_command(cli_eval.app, [*words, "--precision", "int8"]) == 0
    (summary,) = tmp_path.rglob("summary.json")
    row = table(tmp_path / "accuracy.csv")[0]
    assert row["precision"] == "int8"
    assert json.loads(summary.read_text())["linear_layers"].startswith("int8: rows of weights")
    loaded = load_model(
        str(image), size="", seed=0, dtype="fp32", attention="sdpa", device="cpu", is_offline=True
    )
    assert quantize(loaded.model, "int8", "cpu")
    split = load_split("shapes-pope", seed=0, split="test", samples=200, variant="adversarial")
    for one, found in zip(split.samples[0].questions, samples(tmp_path), strict=False):
        prompt = build_prompt(loaded, split.samples[0].media(), one.text)
        with torch.inference_mode():
            output = loaded.model.generate(**prompt.inputs, max_new_tokens=4, do_sample=False)
        answer = loaded.tokenizer.decode(output[0, prompt.layout.sequence_tokens :].tolist()).strip()
        assert found["answer"] == answer
    # Through lmms-eval's own argument the configuration is the same, and another than in floating point.
    ours = json.loads(next((tmp_path / "answers").iterdir()).read_text().splitlines()[0])["identity_sha256"]
    named, plain = (
        options_from_arguments({"model": str(image)} | more) for more in ({"precision": "int8"}, {})
    )
    assert content_hash(named.identity() | {"method": "dense"}) == ours
    assert content_hash(plain.identity() | {"method": "dense"}) != ours


def test_a_traced_run_of_the_same_questions_has_the_same_hash(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--model", str(image), "--method", "focus")
    focal(tmp_path, *words, "--tasks", "shapes-pope", "--limit", "6")
    row = table(tmp_path / "accuracy.csv")[0]
    (summary,) = map(json.loads, (path.read_text() for path in tmp_path.rglob("summary.json")))
    parameters = summary["configuration"]["resolved_parameters"]["shapes-pope"]
    assert parameters["similarity_threshold"] == 0.9
    capsys.readouterr()
    asked = ("--task", "shapes-pope", "--samples", "1", "--output", str(tmp_path / "trace"), "--json")
    assert run_command(cli.app, [*words, *asked]) == 0
    found = json.loads(capsys.readouterr().out)["accuracy"]
    assert (found["n"], found["config_sha256"]) == (6, row["config_sha256"])
    # A checkpoint of one's own is known by its weights, though it is filed under its family.
    weights = sha256_of_file(image / "model.safetensors")[:12]
    assert row["model"] == "llava"
    assert row["checkpoint"] == found["checkpoint"] == summary["checkpoint"] == f"{image.name}@{weights}"


def test_answers_under_other_defaults_are_not_taken_for_new(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--model", str(image), "--method", "focus", "--tasks", "shapes-pope", "--limit", "2")
    focal(tmp_path, *words)
    asked: list[str] = []
    answer = Answerer.answer

    def counted(self: Answerer, *arguments: Any) -> str:
        asked.append(arguments[1])
        return answer(self, *arguments)

    monkeypatch.setattr(Answerer, "answer", counted)
    focal(tmp_path, *words)
    assert not asked
    monkeypatch.setattr(
        type(Focus.study), "fitted", lambda self, geometry: {"selected_layers": (), "alpha_list": ()}
    )
    focal(tmp_path, *words)
    assert len(asked) == 2
    assert len({row["config_sha256"] for row in table(tmp_path / "accuracy.csv")}) == 2


def test_random_weights_are_named_in_the_table(tmp_path: Path) -> None:
    focal(
        tmp_path,
        "--model",
        "llava",
        "--model_args",
        "size=tiny,seed=3",
        "--tasks",
        "shapes-pope",
        "--limit",
        "1",
    )
    (row,) = table(tmp_path / "accuracy.csv")
    assert row["checkpoint"] == "random:3"
    assert row["source"].startswith("measured on random weights, ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--precision", "int7"), "precision"),
        (("--tasks", "shapes-pope,mme"), "task 'mme' needs the data set 'lmms-lab-encoder/MME' from the Hub"),
        (("--tasks", ","), "no task is named"),
        (("--limit", "0"), "--limit must be positive"),
        (("--limit", "nan"), "--limit: 'nan' is no finite number"),
        (("--limit", "inf"), "--limit: 'inf' is no finite number"),
        (("--limit", "2.7"), "a whole number of questions"),
        (("--threads", "-3"), "--threads must be at least 0, got -3"),
        (("--model_args", "frames=0"), "greater than 0, got 0"),
        (("--model_args", "seed=-1"), "greater than or equal to 0, got -1"),
        (("--batch", "0"), "expected a whole number of questions from 1, or auto"),
        (("--method", "focuss"), "unknown method 'focuss'"),
        (("--model_args", "dtype"), "expected name=value"),
        (("--sweep", "vector_size"), "expected field=value,value"),
        (("--model", "nowhere"), "unknown model 'nowhere'"),
    ],
)
def test_wrong_use_is_one_sentence(
    words: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run_command(cli_eval.app, ["--output_path", str(tmp_path), *words])
    assert code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert message in said
    assert "Traceback" not in said


def own_task(folder: Path, name: str = "my-pope") -> Path:
    """As docs/evaluation.md says: three files, another name, seed and size."""
    folder.mkdir()
    text = (TASK_FOLDER / "shapes_pope.yaml").read_text()
    text = text.replace("task: shapes-pope", f"task: {name}").replace("seed: 0", "seed: 7")
    (folder / "mine.yaml").write_text(text.replace("samples: 200", "samples: 2"))
    for other in ("_shapes_yaml", "shapes.py"):
        shutil.copy(TASK_FOLDER / other, folder)
    return folder


def test_a_task_file_of_ones_own_is_asked(image: Path, tmp_path: Path) -> None:
    words = ("--model", str(image), "--tasks", "my-pope,shapes-pope", "--limit", "2")
    focal(tmp_path / "out", *words, "--include_path", str(own_task(tmp_path / "own")))
    assert [row["dataset"] for row in table(tmp_path / "out" / "accuracy.csv")] == ["my-pope", "shapes-pope"]
    split = load_split("shapes-pope", seed=7, split="test", samples=2, variant="adversarial")
    rows = samples(tmp_path / "out", "my-pope")
    assert [row["target"] for row in rows] == [one.answer for one in split.samples[0].questions[:2]]
    assert {row["picture"] for row in rows} == {split.samples[0].sample_id}


def test_task_files_that_cannot_be_meant_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken, alone = own_task(tmp_path / "taken", "shapes-pope"), own_task(tmp_path / "alone")
    (alone / "_shapes_yaml").unlink()
    (tmp_path / "empty").mkdir()
    for folder, message in (
        (taken, "task 'shapes-pope' exists; give it another name"),
        (alone, "needs _shapes_yaml and shapes.py beside it"),
        (tmp_path / "empty", "holds no task file"),
        (tmp_path / "nowhere", "no such folder"),
    ):
        words = [
            "--include_path",
            str(folder),
            "--tasks",
            "shapes-pope",
            "--output_path",
            str(tmp_path / "out"),
        ]
        assert run_command(cli_eval.app, words) == 2
        assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


KILLED = """
import os, signal
from focal_algorithm.evaluation.lmms.answering import AnswerLog
from focal.commands.main import main

put = AnswerLog.put

def killed(log, *values):
    put(log, *values)
    if len(log._answers) == 3:
        log._target.write('{"key": "half of a li')
        log._target.flush()
        os.kill(os.getpid(), signal.SIGKILL)

AnswerLog.put = killed
main()
"""


def test_a_killed_evaluation_goes_on_to_the_same_bytes(image: Path, tmp_path: Path) -> None:
    words = ["--model", str(image), "--method", "focus", "--tasks", "my-pope", "--limit", "6"]
    words += ["--include_path", str(own_task(tmp_path / "own"))]
    sources = [str(ROOT / name) for name in ("common", "traces", "algorithm", "simulator")]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, "eval", *words, "--output_path", str(tmp_path / "cut")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sources)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    (answers,) = (tmp_path / "cut" / "answers").iterdir()
    assert len(answers.read_text().splitlines()) == 5  # header, three answers, half a line
    assert not (tmp_path / "cut" / "runs").exists()
    focal(tmp_path / "cut", *words)
    focal(tmp_path / "whole", *words)
    (cut,), (whole,) = ((tmp_path / name / "runs").glob(f"*/{SAMPLES}") for name in ("cut", "whole"))
    assert cut.relative_to(tmp_path / "cut") == whole.relative_to(tmp_path / "whole")
    assert cut.read_bytes() == whole.read_bytes()
    assert len(answers.read_text().splitlines()) == 7


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("gqa", "task 'gqa' needs the data set 'lmms-lab"),
        ("shapes-pop", "unknown task 'shapes-pop'; did you mean 'shapes-pope'"),
    ],
)
def test_all_tasks_of_lmms_eval_are_known_by_name(
    task: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(cli_eval.app, ["--output_path", str(tmp_path), "--tasks", task]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_places_for_the_command_line_of_lmms_eval(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(cli_eval.app, ["--print_include_path"]) == 0
    assert Path(capsys.readouterr().out.strip()) == TASK_FOLDER
    assert run_command(cli_eval.app, ["--list_tasks"]) == 0
    assert "shapes-video" in capsys.readouterr().out
