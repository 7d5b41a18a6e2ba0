"""Have the models that ship learned to look, and do they need their middle layers?

Subsets of the acceptance check (`focal train check`), with only those of its criteria that so few questions can tell.
"""

from __future__ import annotations

import pytest
import torch

from focal_algorithm.lmms.answering import Answerer
from focal_algorithm.lmms.options import ModelOptions
from focal_algorithm.run_accuracy import judged
from focal_algorithm.training.acceptance import Measured, depths, measure
from focal_algorithm.training.intervals import paired_difference
from focal_algorithm.training.reading import read_trained
from focal_algorithm.training.recipes import checking_samples, recipe

NAMES = ("video", "image")
QUESTIONS = 96


@pytest.fixture(scope="module", params=NAMES)
def measured(request: pytest.FixtureRequest) -> tuple[str, Measured, int]:
    torch.set_num_threads(1)
    model, tokenizer, _ = read_trained(request.param, None)
    samples = checking_samples(request.param, QUESTIONS)
    found = measure(model, recipe(request.param), tokenizer, samples)
    return request.param, found, model.config.text_config.num_hidden_layers


def gain(found: Measured, better: str, worse: str) -> tuple[float, float]:
    mean, low, _ = paired_difference(found.right[better], found.right[worse])
    return mean, low


@pytest.mark.parametrize("control", ["other", "blank"])
def test_answers_come_from_the_pictures(control: str, measured: tuple[str, Measured, int]) -> None:
    _, found, _ = measured
    mean, low = gain(found, "dense", control)
    assert low > 0, f"{mean:+.3f}, from {low:+.3f}, on {len(found.kinds)} questions"


def test_tokens_are_needed_at_the_input_and_at_a_third_of_the_depth(
    measured: tuple[str, Measured, int],
) -> None:
    _, found, layers = measured
    third, two_thirds = depths(layers)
    for layer in (0, third):
        mean, low = gain(found, "dense", f"random@{layer}")
        assert low > 0, f"random dropping at layer {layer} costs {mean:+.3f}, from {low:+.3f}"
    # Its interval is wider than the loss asked of a model that ships; the full check has the power for it.
    assert gain(found, "dense", f"random@{two_thirds}")[0] > 0


def test_importance_finds_what_chance_does_not(measured: tuple[str, Measured, int]) -> None:
    _, found, layers = measured
    third, _ = depths(layers)
    assert gain(found, f"attention@{third}", f"random@{third}")[1] > 0
    assert gain(found, "tower@0", "random@0")[0] > 0


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
