"""Does the fast evaluator give the answers of `focal eval` and the counts of `focal trace`?"""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import focal
from evaluation_support import model_folder
from focal.commands.main import main
from focal_algorithm.checkpoints.loading import LoadedModel, load_model
from focal_algorithm.evaluation.lmms import TASK_FOLDER
from focal_algorithm.evaluation.lmms.answering import Answerer
from focal_algorithm.evaluation.lmms.options import ModelOptions
from focal_algorithm.evaluation.offline.costs import costs_of, mean_cost
from focal_algorithm.evaluation.offline.evaluator import Evaluator, shared_logits
from focal_algorithm.evaluation.offline.questions import BENCHMARKS, QuestionSet, load_questions
from focal_algorithm.hooks import attach
from focal_algorithm.methods import METHODS
from focal_algorithm.methods.base import HookPoint, hook_points
from focal_algorithm.tasks.asking import AskedTask, parse_choice
from focal_algorithm.tracing.prompting import build_prompt
from focal_algorithm.tracing.runner import trace_sample
from focal_algorithm.tracing.settings import RunSettings
from focal_common.errors import ConfigError, FocalError, UnsupportedError

ANSWERS = {"image": ("yes", "no", "red"), "video": ("yes", "no", "1", "2", "red", "left")}
COUNT = 3


@pytest.fixture(scope="module", autouse=True)
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("offline")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOCAL_CACHE", str(folder / "cache"))
        patch.setenv("HF_HOME", str(folder / "hub"))
        for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE", "TQDM_DISABLE"):
            patch.setenv(name, "1")
        torch.set_num_threads(1)
        yield folder


def loaded_from(folder: str) -> LoadedModel:
    return load_model(
        folder, size="tiny", seed=0, dtype="fp32", attention="sdpa", device="cpu", is_offline=True
    )


@pytest.fixture(scope="module", params=["image", "video"])
def evaluator(request: Any, small_data: Path) -> Evaluator:
    folder = model_folder(request.param, small_data / request.param, ANSWERS[request.param])
    benchmark, samples = ("shapes-pope", 2) if request.param == "image" else ("shapes-video", 2)
    return Evaluator(loaded_from(str(folder)), load_questions(benchmark, COUNT, samples=samples))


def generated(evaluator: Evaluator, method: str) -> list[str]:
    """Answer as `focal eval` does: pixels, cache, `generate`."""
    answerer = Answerer(ModelOptions(method=method), evaluator.loaded)
    questions = evaluator.questions
    return [
        answerer.answer(questions.samples[one.picture].media(), one.text, questions.benchmark, 4).strip()
        for one in questions.asked
    ]


@pytest.mark.parametrize("name", list(METHODS))
def test_answers_are_those_of_generation(evaluator: Evaluator, name: str) -> None:
    try:
        theirs = generated(evaluator, name)
    except FocalError as error:
        with pytest.raises(type(error), match="expected a video of at least two frames"):
            list(evaluator.replies(evaluator.method(name)))
        return
    ours = list(evaluator.replies(evaluator.method(name), recorded={1, 2}))
    asked = evaluator.questions.asked
    said = [parse_choice(one, own.choices) for one, own in zip(theirs, asked, strict=True)]
    assert [one.is_parsable for one in ours] == [one is not None for one in said]
    assert [one.is_right for one in ours] == [one == own.answer for one, own in zip(said, asked, strict=True)]
    assert [one.answer.split()[:1] for one in ours] == [one.split()[:1] for one in theirs]
    assert [one.recorded is not None for one in ours] == [False, True, True]


def test_model_says_several_words(evaluator: Evaluator) -> None:
    answers = {one.answer for one in evaluator.replies(evaluator.method("dense"))}
    assert answers & set(sum(ANSWERS.values(), ()))  # else the test above would compare nothing


@pytest.mark.parametrize("name", ["focus", "visionzip", "adaptiv"])
def test_counts_are_those_of_a_traced_run(evaluator: Evaluator, name: str) -> None:
    method = evaluator.method(name)
    *_, last = evaluator.replies(method, [0, 1], recorded={1})
    asked = evaluator.questions.asked[1]
    settings = RunSettings(output=Path(), method=name, new_tokens=0, question=asked.text)
    media = evaluator.questions.samples[asked.picture].media()
    traced = trace_sample(settings, evaluator.loaded, method, lambda _: media).recorded
    assert last.recorded is not None
    assert last.recorded.header == traced.header
    for field in fields(traced.counts):
        assert np.array_equal(getattr(last.recorded.counts, field.name), getattr(traced.counts, field.name))


SEES_QUESTION = {"fastv": {"keep_tokens": 3}, "sparsevlm": {}, "cdpruner": {"keep_tokens": 3}}


@pytest.mark.parametrize("name", list(METHODS))
def test_a_second_turn_sees_what_the_first_question_left(evaluator: Evaluator, name: str) -> None:
    """Twins: asked after itself a question has its answer of one turn; blind methods answer as if none were before."""
    method, one, other = evaluator.method(name, SEES_QUESTION.get(name)), *evaluator.questions.asked[:2]
    loaded, sample = evaluator.loaded, evaluator.questions.samples[one.picture].media()
    prompts = [build_prompt(loaded, sample, asked.text) for asked in (one, other)]
    found = {}
    for which, first in enumerate(prompts):
        with torch.inference_mode(), attach(loaded.model, loaded.adapter, method, None, []) as session:
            try:
                found[which] = shared_logits(loaded, session, prompts[:1], {}, first)[0]
            except UnsupportedError as error:
                assert "at least two frames" in str(error)  # noqa: PT017 - what is allowed is the sentence
                return
    with torch.inference_mode(), attach(loaded.model, loaded.adapter, method, None, [prompts[0].layout]):
        alone = loaded.model(**prompts[0].inputs).logits[0, -1]
    if not hook_points(method) & {HookPoint.DECODE_KEYS}:  # that of DyCoke reads fewer keys after a prefill
        assert torch.allclose(found[0], alone, atol=1e-4)
    is_same = torch.allclose(found[1], found[0], atol=1e-4)
    if not method.study.reads_question(method):
        assert is_same
    elif (
        name in SEES_QUESTION and sample.is_video
    ):  # the image model reads both questions as the same unknown words
        assert not is_same


def test_order_and_neighbours_do_not_matter(evaluator: Evaluator) -> None:
    method = evaluator.method("sparsezip")
    whole = {one.number: one for one in evaluator.replies(method)}
    backwards = list(evaluator.replies(method, range(COUNT)[::-1]))
    assert {one.number: one for one in backwards} == whole
    assert [one.number for one in backwards] == [2, 1, 0]


def test_costs_of_dense_follow_from_the_geometry(evaluator: Evaluator) -> None:
    method = evaluator.method("dense")
    replies = list(evaluator.replies(method, [0, 1], recorded={0, 1}))
    costs = costs_of(evaluator, method, replies)
    geometry = evaluator.loaded.geometry
    for cost, reply in zip(costs, replies, strict=True):
        assert reply.recorded is not None
        tokens, visual = reply.recorded.header.sequence_tokens, reply.recorded.header.visual_tokens
        assert cost.equivalent_tokens == cost.present_tokens == visual
        assert cost.tokens_by_layer == (visual,) * geometry.layers
        width, inner = geometry.hidden_elements, geometry.intermediate_elements
        heads = (2 * geometry.heads + 2 * geometry.kv_heads) * geometry.head_dim_elements
        assert cost.linear_macs == geometry.layers * tokens * width * (heads + 3 * inner)
    assert mean_cost(costs).macs == pytest.approx((costs[0].macs + costs[1].macs) / 2)
    with pytest.raises(ConfigError, match="recorded"):
        costs_of(evaluator, method, list(evaluator.replies(method, [0])))


@pytest.mark.parametrize("name", list(METHODS))
def test_decisions_cost_no_negative_work_and_those_of_divprune_all_pairs(
    evaluator: Evaluator, name: str
) -> None:
    method = evaluator.method(name)
    try:
        (cost,) = costs_of(evaluator, method, list(evaluator.replies(method, [0], recorded={0})))
    except UnsupportedError as error:
        assert "at least two frames" in str(error)  # noqa: PT017 - what is allowed is the sentence
        return
    assert cost.selection_macs is None or cost.selection_macs >= 0
    if name == "divprune":  # one pool, norms and a product for each pair
        tokens, hidden = cost.visual_tokens, evaluator.loaded.geometry.hidden_elements
        assert cost.selection_macs == (tokens**2 + tokens) * hidden


def test_byte_tokens_are_generated_to_the_end(small_data: Path) -> None:
    questions = load_questions("shapes-mme", 3, samples=2)
    evaluator = Evaluator(loaded_from("llava"), questions)
    ours = [one.answer for one in evaluator.replies(evaluator.method("focus"))]
    assert ours == generated(evaluator, "focus")
    assert max(map(len, ours)) > 1  # more than one byte, so reading one token would have failed


def test_benchmarks_are_those_of_the_task_files() -> None:
    for name, known in BENCHMARKS.items():
        if known.has_turns:  # a task of lmms-eval has one turn
            continue
        text = (TASK_FOLDER / f"{name.replace('-', '_')}.yaml").read_text(encoding="utf-8")
        assert f"dataset_name: {known.task}\n" in text
        assert f"  seed: 0\n  samples: {known.samples}\n" in text
        assert all(f"  {option}: {value}\n" in text for option, value in known.options.items())


def test_answers_are_those_of_the_command(evaluator: Evaluator, tmp_path: Path, small_data: Path) -> None:
    pytest.importorskip("lmms_eval", reason="lmms-eval is not installed; run 'sh scripts/setup_lmms_eval.sh'")
    benchmark = evaluator.questions.benchmark
    name = "video" if benchmark == "shapes-video" else "image"
    words = ["--model", str(small_data / name), "--tasks", benchmark, "--method", "focus"]
    with pytest.raises(SystemExit) as done:
        main(["eval", *words, "--limit", str(COUNT), "--output_path", str(tmp_path)])
    assert done.value.code == 0
    (path,) = tmp_path.rglob("samples.jsonl")
    theirs = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    ours = list(evaluator.replies(evaluator.method("focus")))
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine.number, mine.picture, mine.kind) == (other["question"], other["picture"], other["kind"])
        assert (mine.target, float(mine.is_right)) == (other["target"], other["score"])
        assert (mine.is_parsable, mine.answer) == (other["is_parsable"], other["answer"].split()[0])


def test_a_second_turn_is_about_other_objects_and_each_question_is_asked_in_both() -> None:
    for name in (name for name, known in BENCHMARKS.items() if known.has_turns):
        found = load_questions(name, samples=6)
        alone = {(one.picture, one.text) for one in found.asked if not one.first}
        second = [one for one in found.asked if one.first]
        assert len(alone) == len(second) == len(found.asked) / 2 > 12
        for one in second:
            assert one.kind.endswith(", second turn")
            assert (one.picture, one.text) in alone
            seen = {
                asked.text: {index for index, _ in asked.evidence}
                for asked in found.samples[one.picture].questions
            }
            assert seen[one.first]
            assert not seen[one.first] & seen[one.text]
        with pytest.raises(ConfigError, match=r"second turns .* expected one turn, such as shapes-"):
            AskedTask(name)
        with pytest.raises(ConfigError, match="no sample of its own"):
            focal.samples(name, 24)


def test_bad_input() -> None:
    with pytest.raises(ConfigError, match="shapes-video"):
        load_questions("shapes-vidoe")
    with pytest.raises(ConfigError, match="at least 1"):
        load_questions("shapes-pope", 0)
    with pytest.raises(ConfigError, match="shapes-mme holds 4, expected no more; got 5"):
        load_questions("shapes-mme", 5, samples=2)


def test_families_without_encoded_pictures_are_refused(evaluator: Evaluator) -> None:
    class Plain:
        generation_config = evaluator.loaded.model.generation_config

        def forward(self, input_ids: Any) -> None: ...

    loaded = LoadedModel(Plain(), evaluator.loaded.adapter, evaluator.loaded.tokenizer, "")
    with pytest.raises(UnsupportedError, match="focal eval"):
        Evaluator(loaded, QuestionSet("shapes-pope", 0, (), (), {}))
