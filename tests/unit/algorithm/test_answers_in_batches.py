"""Does every question of a batch get the answer that it gets alone, and is none lost where memory runs out?"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from focal.testing.methods import fitted
from focal.testing.prompts import CASES, generate, prompt, tiny
from focal_algorithm.checkpoints.loading import LoadedModel
from focal_algorithm.hooks import attach
from focal_algorithm.tasks.asking import read_batch
from focal_algorithm.tracing import batches
from focal_algorithm.tracing.batches import Batches, lead_is_clear
from focal_algorithm.tracing.prompting import Prompt, answer_of
from focal_common.errors import ConfigError, RunError

QUESTIONS = ("What?", "And what of this longer question?", "Is it?")


def three(loaded: LoadedModel, kind: str) -> list[Prompt]:
    """Three questions, the first and the last about one picture."""
    return [prompt(loaded, kind, 1 + number % 2, text) for number, text in enumerate(QUESTIONS)]


def alone(loaded: LoadedModel, method: Any, prompts: list[Prompt]) -> list[str]:
    return [answer_of(loaded, method, None, one, 3) for one in prompts]


def in_batches(asker: Batches, method: Any, prompts: list[Prompt]) -> list[str]:
    answers: list[str] = []
    while len(answers) < len(prompts):
        answers += asker.answers(method, prompts[len(answers) :], 3)
    return answers


def next_scores(loaded: LoadedModel, method: Any, prompts: list[Prompt]) -> torch.Tensor:
    """Logits of three tokens after each prompt of one batch, axes (rows, tokens, vocabulary)."""
    with attach(loaded.model, loaded.adapter, method, None, [one.layout for one in prompts]):
        return torch.stack(generate(loaded, batches.left_padded(prompts)).logits, 1)


@pytest.mark.parametrize(("family", "kind"), CASES)
def test_rows_of_a_padded_batch_are_those_of_single_prompts(family: str, kind: str) -> None:
    loaded = tiny(family)
    method = fitted("dense", {}, loaded)
    prompts = three(loaded, kind)
    assert len({one.layout.sequence_tokens for one in prompts}) > 1, "nothing is padded"
    assert batches._alike(prompts) == 3
    together = next_scores(loaded, method, prompts)
    single = torch.cat([next_scores(loaded, method, [one]) for one in prompts])
    assert (together - single).abs().max() < 5e-5
    assert (single[0] - single[1]).abs().max() > 1e-3, "prompts are alike, so mixed rows would not show"
    answers = in_batches(Batches(loaded, 3), method, prompts)
    assert answers == alone(loaded, method, prompts)


@pytest.mark.parametrize("name", ["focus", "visionzip", "fastv"])
def test_under_a_method_answers_are_those_of_single_prompts(name: str) -> None:
    loaded = tiny("llava_onevision")
    method = fitted(name, {}, loaded)
    prompts = three(loaded, "video")
    asker = Batches(loaded, 3)
    assert in_batches(asker, method, prompts) == alone(loaded, method, prompts)
    assert asker.batched == 3


def test_a_narrow_lead_is_asked_again_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    dense, focus = (fitted(name, {}, tiny("llava_onevision")) for name in ("dense", "focus"))
    inf = float("inf")
    scores = torch.tensor([[10.0, 9.9, -inf], [10.0, 9.9995, 0.0], [10.0, 9.0, -12.0], [0.0, -inf, -inf]])
    assert lead_is_clear(scores, dense, torch.float32).tolist() == [True, False, True, True]
    assert lead_is_clear(scores, focus, torch.float32).tolist() == [False, False, True, True]
    assert lead_is_clear(scores, dense, torch.bfloat16).tolist() == [False, False, False, True]
    monkeypatch.setattr(batches, "_LEADS", {torch.float32: (inf, inf)})
    loaded = tiny("llava_onevision")
    prompts = three(loaded, "video")
    asker = Batches(loaded, 0, lambda ask: ask() or 3)
    assert in_batches(asker, dense, prompts) == alone(loaded, dense, prompts)
    assert (asker.batched, asker.repeated) == (2, 2)
    assert "2 of 2 questions" in asker.note()


def test_memory_that_runs_out_halves_the_batch_and_loses_no_question(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tiny("llava_onevision")
    method = fitted("dense", {}, loaded)
    prompts = [*three(loaded, "video"), *three(loaded, "video")]
    expected = alone(loaded, method, prompts)
    together, most, tried = batches._together, [2], []

    def small(loaded: LoadedModel, method: Any, chosen: list[Prompt], new_tokens: int) -> Any:
        tried.append(len(chosen))
        if len(chosen) > most[0]:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return together(loaded, method, chosen, new_tokens)

    monkeypatch.setattr(batches, "_together", small)
    asker = Batches(loaded, 5)
    assert in_batches(asker, method, prompts) == expected
    assert tried == [5, 2, 2, 2]
    most[0] = 0
    assert in_batches(Batches(loaded, 6), method, prompts) == expected

    def full(*_: Any) -> Any:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(batches, "_together", full)
    assert in_batches(Batches(loaded, 6), method, prompts[:2]) == expected[:2]

    def broken(*_: Any) -> Any:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(batches, "_together", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        in_batches(Batches(loaded, 6), method, prompts)

    def no_memory(*_: Any) -> Any:
        raise RunError("out of memory")

    monkeypatch.setattr(batches, "answer_of", no_memory)
    with pytest.raises(RunError):
        in_batches(Batches(loaded, 1), method, prompts)


def test_the_batch_that_fits_is_measured_on_the_first_question() -> None:
    loaded = tiny("llava_onevision")
    method = fitted("dense", {}, loaded)
    prompts = three(loaded, "video")
    asker = Batches(loaded, 0)
    assert in_batches(asker, method, prompts) == alone(loaded, method, prompts)
    assert 1 <= asker.size <= 8
    assert batches._count(8e9, 10**9, 64) == 8
    assert batches._count(8e9, 10**10, 64) == 1
    assert batches._count(8e9, 0, 64) == 64


def test_pictures_of_different_shape_are_separate_batches() -> None:
    loaded = tiny("llava_onevision")
    method = fitted("dense", {}, loaded)
    prompts = [
        prompt(loaded, "video", 1),
        prompt(loaded, "image", 1),
        prompt(loaded, "image", 2),
        prompt(loaded, "video", 2),
    ]
    asker, counts, left = Batches(loaded, 4), [], list(prompts)
    while left:
        counts.append(len(asker.answers(method, left, 1)))
        left = left[counts[-1] :]
    assert counts == [1, 2, 1]


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "all", "８", "1_0"])
def test_a_batch_that_is_none(text: str) -> None:
    with pytest.raises(ConfigError, match="expected a whole number of questions from 1, or auto"):
        read_batch(text)


def test_the_batch_is_read() -> None:
    assert (read_batch("auto"), read_batch("12")) == (0, 12)
