"""Is training with a method attached refused, and is every gradient that is given right?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from contracts.conformance import FIRST_PAIRS, method_of, model_of, prompt_of, refusal
from focal_algorithm.hooks import attach
from focal_algorithm.hooks.recorder import Recorder
from focal_algorithm.methods.base import CompressionMethod, TokenStream
from focal_algorithm.transformers_versions import cache_name, cache_of
from focal_common.errors import UnsupportedError

SETTLED = "llava_onevision+video"
TOWERS = ("vision_tower", "vision_model", "visual", "vpm")
CHOOSE_TOKENS = {"adaptiv", "cdpruner", "dart", "dense", "divprune", "fastv", "focus_sec_only", "pyramiddrop"}
WRITE_VALUES = {"cmc", "focus", "prumerge", "prumerge_plus", "visionzip"}
"""Some methods of either kind; which kind a method is of may depend on the prompt."""

Loss = Callable[[], tuple[Tensor, Any]]
"""Returns what to differentiate, and the tokens that were chosen on the way."""


@contextmanager
def training(module: nn.Module, model: nn.Module) -> Iterator[None]:
    """Put a module of a model that tests share into training mode for a while."""
    module.train()
    try:
        yield
    finally:
        model.eval()


@cache
def double(subject: str) -> Any:
    """Return the tiny model of a family in fp64, where norms still round to fp32."""
    return deepcopy(model_of(subject).model).double()


def answer_loss(name: str, subject: str, model: Any, embeddings: Tensor | None = None) -> Loss:
    """Return minus log p of a token after a prompt, given as ids and pixels or as embeddings, as a function."""
    loaded = model_of(subject)
    prompt, method = prompt_of(subject, loaded), method_of(name, loaded)
    inputs: dict[str, Any] = {
        key: value.double() if value.is_floating_point() else value for key, value in prompt.inputs.items()
    }
    if embeddings is not None:
        inputs = {"inputs_embeds": embeddings}

    def loss() -> tuple[Tensor, Any]:
        recorder = Recorder(loaded.adapter.points(model).geometry, method)
        with attach(model, loaded.adapter, method, recorder, [prompt.layout]):
            value = -model(**inputs).logits[0, -1].log_softmax(-1)[5]
        return value, [record for record in recorder.samples[0].records if record.kind == "map"]

    return loss


def weights_of(subject: str, model: Any) -> dict[str, Tensor]:
    """Return a matrix of the tower, the embeddings, and matrices of the first and last layer of the decoder.

    A CLS token or a table of places, with one row, may be all zero as yet and has no length to step by.
    """
    layers = [point.layer for point in model_of(subject).adapter.points(model).layers]
    tower = (
        value
        for key, value in model.named_parameters()
        if any(word in key for word in TOWERS) and value.ndim > 1 and value.shape[0] > 1
    )
    return {
        "tower": next(tower),
        "embeddings": model.get_input_embeddings().weight,
        "first layer": layers[0].self_attn.v_proj.weight,
        "last layer": layers[-1].mlp.down_proj.weight,
    }


def slope(loss: Loss, weight: Tensor, direction: Tensor, chosen: Any) -> float | None:
    """Return the derivative along a direction by central differences; None if every step changes what is chosen."""
    for step in (1e-3, 3e-4, 1e-4):
        step *= weight.norm().item() / direction.norm().item()
        with torch.no_grad():
            weight.add_(direction, alpha=step)
            above, chosen_above = loss()
            weight.sub_(direction, alpha=2 * step)
            below, chosen_below = loss()
            weight.add_(direction, alpha=step)
        if chosen == chosen_above == chosen_below:  # else the loss jumped in between
            return (above - below).item() / (2 * step)
    return None


def slopes_beside(loss: Loss, weight: Tensor, direction: Tensor) -> tuple[float, float]:
    """Return the derivatives by gradient and by differences where a step changes nothing that is chosen.

    Some methods choose by fp32 distances, and near-ties at one weight may fall otherwise at all weights around it.
    """
    original, scale = weight.detach().clone(), weight.norm().item() / direction.norm().item()
    try:
        for nudge in range(5):
            with torch.no_grad():
                weight.copy_(original + nudge * 2e-4 * scale * direction)
            value, chosen = loss()
            (gradient,) = torch.autograd.grad(value, [weight])
            if (found := slope(loss, weight, direction, chosen)) is not None:
                return float((gradient * direction).sum()), found
    finally:
        with torch.no_grad():
            weight.copy_(original)
    raise AssertionError("every step changed which tokens are kept")


def refusal_of(value: Tensor, weights: list[Tensor]) -> str:
    """Return the sentence by which gradients are refused, empty if they are given."""
    try:
        torch.autograd.grad(value, weights)
    except UnsupportedError as error:
        return str(error)
    return ""


def assert_kind(name: str, sentence: str) -> None:
    assert name not in (CHOOSE_TOKENS if sentence else WRITE_VALUES)
    assert not sentence or sentence.startswith(f"{name} replaces activations, and gradients cannot pass")


def assert_exact(loss: Loss, weights: dict[str, Tensor]) -> None:
    generator = torch.Generator().manual_seed(0)
    for role, weight in weights.items():
        direction = torch.randn(weight.shape, dtype=weight.dtype, generator=generator)
        exact, found = slopes_beside(loss, weight, direction)
        assert exact == pytest.approx(found, rel=0.02, abs=2e-3), role


@pytest.mark.parametrize(("name", "subject"), FIRST_PAIRS)
def test_training_mode_is_refused_and_leaves_nothing_behind(name: str, subject: str) -> None:
    if refusal(name, subject):
        pytest.skip(f"refused: {refusal(name, subject)}")
    loaded = model_of(subject)
    prompt, method = prompt_of(subject, loaded), method_of(name, loaded)
    with torch.inference_mode(), attach(loaded.model, loaded.adapter, method, None, [prompt.layout]):
        expected = loaded.model(**prompt.inputs).logits
        with (
            training(loaded.model, loaded.model),
            pytest.raises(UnsupportedError, match=r"but it is in training mode; call model\.eval\(\)"),
        ):
            loaded.model(**prompt.inputs)
        assert torch.equal(loaded.model(**prompt.inputs).logits, expected)


@pytest.mark.parametrize(
    "path", ["model.language_model", "model.language_model.layers.1", "model.vision_tower"]
)
def test_a_part_in_training_mode_is_refused_by_name(path: str) -> None:
    loaded = model_of(SETTLED)
    inputs = prompt_of(SETTLED, loaded).inputs
    with (
        torch.inference_mode(),
        attach(loaded.model, loaded.adapter, method_of("focus", loaded)),
        training(loaded.model.get_submodule(path), loaded.model),
        pytest.raises(UnsupportedError, match=f"but its module '{path}' is in training mode"),
    ):
        loaded.model(**inputs)


@pytest.mark.parametrize("path", ["", "model.language_model"])
def test_a_decode_step_in_training_mode_is_refused_and_can_be_taken_afterwards(path: str) -> None:
    loaded = model_of(SETTLED)
    model, inputs = loaded.model, prompt_of(SETTLED, loaded).inputs
    step = {"input_ids": torch.tensor([[65]])}
    logits = []
    for is_refused in (False, True):
        with torch.inference_mode(), attach(model, loaded.adapter, method_of("focus", loaded)):
            cache = cache_of(model(**inputs, use_cache=True))
            if is_refused:
                with (
                    training(model.get_submodule(path), model),
                    pytest.raises(UnsupportedError, match="is in training mode"),
                ):
                    model(**step, **{cache_name(): cache})
            logits.append(model(**step, **{cache_name(): cache}).logits)
    assert torch.equal(*logits)


@pytest.mark.parametrize(("name", "subject"), FIRST_PAIRS)
def test_gradients_are_exact_or_refused(name: str, subject: str) -> None:
    if refusal(name, subject):
        pytest.skip(f"refused: {refusal(name, subject)}")
    model = double(subject)
    loss, weights = answer_loss(name, subject, model), weights_of(subject, model)
    with torch.no_grad():
        expected, _ = loss()
    value, _ = loss()
    assert torch.equal(value, expected)
    sentence = refusal_of(value, list(weights.values()))
    assert_kind(name, sentence)
    if sentence:
        assert torch.equal(loss()[0], expected)
    else:
        assert_exact(loss, weights)


@pytest.mark.parametrize("name", ["dense", "focus_sec_only", "focus", "cmc", "framefusion"])
def test_gradients_of_embeddings_are_exact_or_refused(name: str) -> None:
    model = double(SETTLED)
    tokens, width = prompt_of(SETTLED, model_of(SETTLED)).layout.sequence_tokens, model.lm_head.in_features
    embeddings = torch.randn(
        1, tokens, width, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    embeddings.requires_grad_()
    loss = answer_loss(name, SETTLED, model, embeddings)
    sentence = refusal_of(loss()[0], [embeddings])
    assert_kind(name, sentence)
    if not sentence:
        assert_exact(loss, {"embeddings": embeddings})


@dataclass(frozen=True, kw_only=True)
class Squared(CompressionMethod):
    """Squares what the softmax gives, and does nothing else."""

    def replace_probabilities(
        self, layer: int, first_head: int, probabilities: Tensor, stream: TokenStream, state: Any
    ) -> Tensor:
        return probabilities.square()


def test_gradients_are_refused_where_only_probabilities_are_replaced() -> None:
    loaded = model_of(SETTLED)
    with (
        attach(loaded.model, loaded.adapter, Squared()),
        pytest.raises(UnsupportedError, match="squared replaces activations"),
    ):
        loaded.model(**prompt_of(SETTLED, loaded).inputs).logits.sum().backward()


def test_gradients_behind_the_replaced_activations_are_exact() -> None:
    model = double(SETTLED)
    loss, head = answer_loss("focus", SETTLED, model), model.lm_head.weight
    sentence = refusal_of(loss()[0], [head])
    assert not sentence
    assert_exact(loss, {"head": head})


def test_derivatives_in_forward_mode_are_refused_too() -> None:
    loaded = model_of(SETTLED, "eager")
    inputs, name = prompt_of(SETTLED, loaded).inputs, "model.language_model.layers.0.self_attn.v_proj.weight"
    weight = loaded.model.get_parameter(name).detach()

    def logits(value: Tensor) -> Tensor:
        return torch.func.functional_call(loaded.model, {name: value}, kwargs=dict(inputs)).logits

    with (
        attach(loaded.model, loaded.adapter, method_of("focus", loaded)),
        pytest.raises(UnsupportedError, match="focus replaces activations"),
    ):
        torch.func.jvp(logits, (weight,), (torch.ones_like(weight),))
