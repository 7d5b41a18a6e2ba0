"""Have the models that ship learned to look, and do they need their middle layers?

All criteria of the acceptance check (`focal train check`) on a seeded subset, at margins that few questions can tell.
"""

from __future__ import annotations

import pytest
import torch

from focal_algorithm.evaluation.lmms.answering import Answerer
from focal_algorithm.evaluation.lmms.options import ModelOptions
from focal_algorithm.tracing.accuracy import judged
from focal_algorithm.training.acceptance import Measured, checking_samples, depths, measure, rare_samples
from focal_algorithm.training.export import read_trained
from focal_algorithm.training.recipe import recipe

NAMES = ("video", "image")
QUESTIONS = 200
OF_EACH_SUB_TASK = 32


@pytest.fixture(scope="module", params=NAMES)
def measured(request: pytest.FixtureRequest) -> tuple[str, Measured, int]:
    torch.set_num_threads(1)
    model, tokenizer, _ = read_trained(request.param, None)
    samples = checking_samples(request.param, QUESTIONS)
    more = rare_samples(request.param, samples, OF_EACH_SUB_TASK)
    found = measure(model, recipe(request.param), tokenizer, samples, more)
    return request.param, found, model.config.text_config.num_hidden_layers


def is_far_above(gain: tuple[float, float, float], margin: float) -> bool:
    """Whether the mean meets a margin and the interval of so few questions leaves no doubt about its sign."""
    mean, low, _ = gain
    return mean >= margin and low > 0


@pytest.mark.parametrize(("control", "margin"), [("other", 0.2), ("blank", 0.2), (None, 0.1)])
def test_every_sub_task_is_above_controls_and_luck(
    control: str | None, margin: float, measured: tuple[str, Measured, int]
) -> None:
    _, found, _ = measured
    gains = {kind: found.gain("dense", control, kind) for kind in dict.fromkeys(found.kinds)}
    assert not {kind: gain for kind, gain in gains.items() if not is_far_above(gain, margin)}


def test_dense_accuracy_is_high(measured: tuple[str, Measured, int]) -> None:
    assert measured[1].accuracy("dense")[1] > 0.85


def test_tokens_are_needed_at_every_depth(measured: tuple[str, Measured, int]) -> None:
    _, found, layers = measured
    gains = {layer: found.gain("dense", f"random@{layer}") for layer in (0, *depths(layers))}
    assert not {layer: gain for layer, gain in gains.items() if not is_far_above(gain, 0.1)}


def test_importance_finds_what_chance_does_not(measured: tuple[str, Measured, int]) -> None:
    _, found, layers = measured
    rankings = {f"attention@{layer}": f"random@{layer}" for layer in depths(layers)} | {"tower@0": "random@0"}
    gains = {name: found.gain(name, chance) for name, chance in rankings.items()}
    assert not {name: gain for name, gain in gains.items() if not is_far_above(gain, 0.0)}


@pytest.mark.parametrize("name", NAMES)
def test_a_traced_model_answers_as_the_one_that_was_trained(name: str) -> None:
    """Two ways to an answer: packed questions of the training code, and prompts one by one."""
    model, tokenizer, _ = read_trained(name, None)
    samples = checking_samples(name, 8)[:2]
    found = measure(model, recipe(name), tokenizer, samples)
    answerer = Answerer(ModelOptions(model=f"shapes_{name}", method="dense"))
    right = [
        judged(one, answerer.answer(sample.media(), one.text, "shapes", 4))["is_right"]
        for sample in samples
        for one in sample.questions
    ]
    assert right == found.right["dense"]
