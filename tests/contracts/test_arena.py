"""Does an arena compare at equal budget, keep what it finished, and name what it refuses?"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from evaluation_support import model_folder
from focal.commands import arena as cli_arena
from focal.commands.running import run_command
from focal.studies.arena import inputs
from focal.studies.arena.cells import run_cases
from focal.studies.arena.inputs import ArenaInputs
from focal.studies.arena.jobs import AnswerJob, answered
from focal.studies.arena.matching import TOLERANCE, settings_of
from focal.studies.arena.plan import ArenaPlan, ModelFolder, candidate
from focal_algorithm.evaluation.offline.costs import costs_of, mean_cost
from focal_algorithm.evaluation.offline.evaluator import Evaluator
from focal_algorithm.models.weights import shipped_model
from focal_simulator.accelerators import ACCELERATORS

METHODS = "dense,adaptiv,visionzip,cmc"
WORDS = ["--tasks", "shapes-pope", "--questions", "18", "--traced", "2", "--budgets", "0.5,0.25", "-j", "1"]
FILES = ("arena.csv", "kinds.csv", "README.md", "arena.json")


@pytest.fixture(scope="module", autouse=True)
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("arena")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOCAL_CACHE", str(folder / "cache"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr(inputs, "_CHUNK_QUESTIONS", 8)  # several jobs of few questions
        torch.set_num_threads(1)
        yield folder


@pytest.fixture(scope="module")
def image(small_data: Path) -> Path:
    return model_folder("image", small_data / "image", ("yes", "no", "red"))


@pytest.fixture(scope="module")
def evaluator(image: Path) -> Evaluator:
    plan = ArenaPlan((ModelFolder("small", str(image)),), ("shapes-pope",), questions=18)
    return ArenaInputs(plan).evaluator(plan.models[0], "shapes-pope")


@pytest.fixture(scope="module")
def whole(image: Path, small_data: Path) -> Path:
    output = small_data / "whole"
    assert arena(output, image) == 0
    return output


def arena(output: Path, model: Path, *words: str) -> int:
    given = ["--output", str(output), "--model", f"small={model}", "--methods", METHODS, *WORDS, *words]
    return run_command(cli_arena.app, given)


def rows(output: Path, name: str = "arena.csv") -> list[dict[str, str]]:
    with (output / name).open(encoding="utf-8", newline="") as source:
        return list(csv.DictReader(source))


def test_budgets_are_met_or_marked(whole: Path) -> None:
    found = rows(whole)
    assert [(row["method"], row["budget"]) for row in found] == [
        ("dense", "1"),
        *((method, budget) for method in ("adaptiv", "cmc", "visionzip") for budget in ("0.5", "0.25")),
    ]
    for row in found:
        if row["status"] == "refused":
            continue
        assert float(row["target"]) == 144 * float(row["budget"])
        assert row["reached"] == row["equivalent_tokens_measured"]  # solved and reported on the same prompts
        miss = abs(float(row["reached"]) / float(row["target"]) - 1)
        assert (miss <= TOLERANCE) == (row["status"] == "ok")
        assert bool(row["reason"]) == (row["status"] != "ok")
    assert any(row["status"] == "ok" and row["method"] == "visionzip" for row in found)


def test_refused_rows_say_why_and_hold_no_figure(whole: Path) -> None:
    refused = [row for row in rows(whole) if row["method"] == "cmc"]
    assert len(refused) == 2
    for row in refused:
        assert row["status"] == "refused"
        assert "CMC searches motion between frames" in row["reason"]
        assert not any(row[name] for name in row if name.endswith("_measured") or "simulated" in name)
    assert "`cmc`, refused" in (whole / "README.md").read_text(encoding="utf-8")
    assert [row["status"] for row in rows(whole, "kinds.csv") if row["method"] == "cmc"] == ["refused"] * 2


def test_accuracy_is_that_of_the_parts(whole: Path) -> None:
    parts = [json.loads(path.read_text(encoding="utf-8")) for path in (whole / "parts").glob("*.json")]
    dense = [
        one
        for part in parts
        if part["identity"]["method"] == "dense" and part["identity"]["work"] == "answer"
        for one in part["result"]["replies"]
    ]
    assert sorted(one["number"] for one in dense) == list(range(18))
    row = rows(whole)[0]
    assert row["questions"] == "18"
    assert float(row["accuracy_measured"]) == pytest.approx(sum(one["is_right"] for one in dense) / 18)
    kinds = [one for one in rows(whole, "kinds.csv") if one["method"] == "dense"]
    right = sum(float(one["accuracy_measured"]) * int(one["questions"]) for one in kinds)
    assert right == pytest.approx(sum(one["is_right"] for one in dense))


def test_simulation_is_the_mean_of_the_traced_questions(whole: Path) -> None:
    parts = [json.loads(path.read_text(encoding="utf-8")) for path in (whole / "parts").glob("*.json")]
    simulated = [
        one
        for part in parts
        if part["identity"]["method"] == "dense" and part["identity"]["work"] == "answer"
        for one in part["result"]["simulated"].values()
    ]
    assert len(simulated) == 2
    row = rows(whole)[0]
    for name in ("dense", "adaptiv", "cmc", "focus", "focus_sec_only"):
        cycles = [one["figures"][name]["cycles"] for one in simulated]
        assert float(row[f"cycles_simulated_{name}"]) == pytest.approx(sum(cycles) / 2)
    assert row["own_accelerator"] == "dense"
    assert not any(row[name] for name in row if name.startswith("refused_"))


def test_accelerators_that_refuse_a_trace_say_why(evaluator: Evaluator) -> None:
    method = evaluator.method("focus")
    found = answered(evaluator, method, [0, 1], frozenset({0}), simulates=True)["simulated"]
    assert list(found) == ["0"]  # only what was recorded can be simulated
    figures, refused = found["0"]["figures"], found["0"]["refused"]
    assert set(figures) | set(refused) == set(ACCELERATORS)
    for name in ("adaptiv", "cmc"):
        assert f"expected a trace of method '{name}'" in refused[name]
    assert min(figures["focus"].values()) > 0


def test_interrupted_arena_resumes_to_the_same_bytes(
    image: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, asked = AnswerJob.work, []

    def counted(self: AnswerJob, inputs: ArenaInputs) -> Any:
        if len(asked) == 3:
            asked.append("stop")
            raise KeyboardInterrupt
        asked.append(self.case.method)
        return work(self, inputs)

    monkeypatch.setattr(AnswerJob, "work", counted)
    assert arena(tmp_path, image) == 130
    assert not (tmp_path / "arena.csv").exists()
    damaged = sorted((tmp_path / "parts").glob("*.json"))[0]
    damaged.write_text(damaged.read_text(encoding="utf-8")[:50], encoding="utf-8")
    assert arena(tmp_path, image) == 0
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (whole / name).read_bytes()
    before = len(asked)
    assert arena(tmp_path, image) == 0
    assert len(asked) == before  # nothing is done twice


@pytest.mark.slow  # starts processes that load torch
def test_processes_give_the_same_cells(image: Path, tmp_path: Path) -> None:
    plan = ArenaPlan(
        (ModelFolder("small", str(image)),),
        ("shapes-pope",),
        ("visionzip",),
        (0.25,),
        questions=62,
        traced=1,
        simulates=False,
    )
    one, two = (run_cases(ArenaInputs(plan), tmp_path / str(count), count, False) for count in (1, 2))
    assert one == two
    assert [cell.case.method for cell in one] == ["dense", "visionzip"]


def tokens_of_focus(evaluator: Evaluator, traced: tuple[int, ...], parameters: dict[str, Any]) -> float:
    method = evaluator.method("focus", parameters)
    replies = list(evaluator.replies(method, traced, traced))
    return mean_cost(costs_of(evaluator, method, replies)).equivalent_tokens


def test_focus_reaches_beyond_its_schedule_by_its_threshold(evaluator: Evaluator) -> None:
    traced = (1, 7)
    (setting,) = settings_of(evaluator, candidate("focus"), (0.9,), "tokens", traced)
    assert tokens_of_focus(evaluator, traced, setting.parameters) == setting.reached
    assert (setting.status, setting.knob) == ("ok", "similarity_threshold")
    # Both concentrators save the same factor: without similarity, half of the way from dense is left.
    alone = tokens_of_focus(evaluator, traced, setting.parameters | {"similarity_threshold": 1.0})
    assert alone == pytest.approx(setting.target / 0.9**0.5, rel=0.03)


@pytest.mark.slow  # some sixty prefills of 1024 visual tokens
def test_focus_on_video_meets_every_budget_by_schedule_or_threshold() -> None:
    plan = ArenaPlan(
        (ModelFolder("video", str(shipped_model("shapes_video"))),), ("shapes-video",), questions=4
    )
    video = ArenaInputs(plan).evaluator(plan.models[0], "shapes-video")
    # The schedule alone stays near 30 of 1024 tokens, and costs most at about twice its fractions, not at its end.
    shares = (0.5, 0.25, 0.125, 0.02)
    found = settings_of(video, candidate("focus"), shares, "tokens", (3,))
    assert [one.status for one in found] == ["ok"] * 4
    assert [one.knob for one in found] == ["similarity_threshold"] * 3 + ["schedule scale"]
    for one, share in zip(found[:3], shares, strict=False):
        assert 0.9 < one.parameters["similarity_threshold"] < 1
        alone = tokens_of_focus(video, (3,), one.parameters | {"similarity_threshold": 1.0})
        assert alone == pytest.approx(1024 * share**0.5, rel=0.03)
    assert len({one.value for one in found}) == 4
    assert "similarity_threshold" not in found[3].parameters  # the published one
    assert settings_of(video, candidate("focus"), (0.125,), "tokens", (3,)) == [
        found[2]
    ]  # whatever else is asked for


def test_sparsezip_gives_up_merged_tokens_where_they_alone_cost_too_much(evaluator: Evaluator) -> None:
    traced = (1, 7)
    plenty, setting = settings_of(evaluator, candidate("sparsezip"), (0.25, 0.0625), "tokens", traced)
    assert (plenty.status, plenty.knob) == ("ok", "K")
    method: Any = evaluator.method("sparsezip", setting.parameters)
    assert (setting.status, setting.knob, setting.reached) == ("ok", "tokens per picture", 9.0)
    assert (method.dominant, method.contextual) == (6, 2)  # and CLS


def test_macs_are_matched_as_macs(evaluator: Evaluator) -> None:
    traced = (1, 7)
    (dense,) = settings_of(evaluator, candidate("dense"), (0.5,), "macs", traced)
    (setting,) = settings_of(evaluator, candidate("visionzip"), (0.6,), "macs", traced)
    method = evaluator.method("visionzip", setting.parameters)
    replies = list(evaluator.replies(method, traced, traced))
    reached = mean_cost(costs_of(evaluator, method, replies)).macs
    assert setting.quantity == "prefill MACs"
    assert reached == setting.reached
    assert reached == pytest.approx(0.6 * dense.target, rel=TOLERANCE)


def test_same_budget_again_in_another_order_is_the_same_plan() -> None:
    model = (ModelFolder("a", "b"),)
    one = ArenaPlan(model, methods=("focus", "dense"), budgets=(0.25, 0.5))
    assert one == ArenaPlan(model, methods=("focus",), budgets=(0.5, 0.25))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--budgets", "0.5,half"], "--budgets 'half': expected shares such as 0.5,0.25"),
        (["--budgets", "1.5"], "expected shares between 0 and 1, got 1.5"),
        (["--budgets", "0.5,0.5"], "0.5 was given twice"),
        (["--methods", "focs"], "unknown method 'focs'"),
        (["--tasks", "shapes-vidoe"], "shapes-video"),
        (["--tasks", "shapes-video"], "is for image models"),
        (["--match", "token"], "quantity 'token'"),
        (["--questions", "-1"], "--questions must be at least 0, got -1"),
        (
            ["--questions", "100000"],
            "questions: shapes-pope holds 1,200, expected no more; got 100,000 (--questions)",
        ),
        (["--traced", "0"], "--traced must be at least 1, got 0"),
        (["-j", "0"], "--workers must be at least 1, got 0"),
        (["--model", "nothing"], "expected NAME=FOLDER"),
        (["--model", "x=nowhere"], "no config.json in 'nowhere'"),
        (["--models", "smaller"], "--models 'smaller'"),
    ],
)
def test_bad_input_is_one_sentence(
    image: Path, tmp_path: Path, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--output", str(tmp_path / "out"), "--model", f"small={image}", "--questions", "6", *words]
    given += [] if "--tasks" in words else ["--tasks", "shapes-pope"]
    assert run_command(cli_arena.app, given) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert sentence in told
    assert told.startswith("error: ")
    assert not (tmp_path / "out" / "arena.csv").exists()


def test_variants_stand_beside_their_method(image: Path, tmp_path: Path) -> None:
    methods = "visionzip,visionzip_placed"
    assert arena(tmp_path, image, "--methods", methods, "--budgets", "0.25") == 0
    found = {row["method"]: row for row in rows(tmp_path)}
    assert list(found) == ["dense", "visionzip", "visionzip_placed"]
    same = ("knob_value", "equivalent_tokens_measured", "linear_macs_measured", "own_accelerator")
    assert [found["visionzip"][name] for name in same] == [found["visionzip_placed"][name] for name in same]
    plan = ArenaPlan((ModelFolder("small", str(image)),), ("shapes-pope",), questions=18)
    evaluator = ArenaInputs(plan).evaluator(plan.models[0], "shapes-pope")
    assert not candidate("visionzip").build(evaluator).keeps_positions
    assert candidate("visionzip_placed").build(evaluator).keeps_positions
