"""Pairs of a method and a model family, and probes that see what the model itself computes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import attach_support as support
from focal_algorithm.checkpoints.loading import LoadedModel, load_model
from focal_algorithm.hooks import attach
from focal_algorithm.hooks.recorder import RecordedSample, Recorder
from focal_algorithm.methods import METHODS
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.methods.build import build_method
from focal_algorithm.models import MODELS
from focal_algorithm.tracing.prompting import Prompt, build_prompt
from focal_common.errors import UnsupportedError

SUBJECTS = [
    f"{family}+{kind}" for family in MODELS for kind in sorted(MODELS.load(family).modalities, reverse=True)
]
"""Families with what they are shown, as ``family+kind``."""


def _is_first(subject: str) -> bool:
    """Return whether a subject is the one that stands for its family."""
    family = subject.partition("+")[0]
    return subject == next(one for one in SUBJECTS if one.startswith(f"{family}+"))


PAIRS = [(method, subject) for subject in SUBJECTS for method in METHODS]

REFUSALS = {
    **{
        (method, subject): "learned queries"
        for method in ("visionzip", "sparsezip", "zip_parts")
        for subject in ("minicpm_v+video", "minicpm_v+image")
    },
    **{
        ("cmc", subject): "expected a video of at least two frames"
        for subject in SUBJECTS
        if subject.endswith("+image")
    },
    ("cmc", "qwen3_vl+video"): "other tokens lie between its frames",
    ("framefusion", "qwen3_vl+video"): "other tokens lie between its frames",
}
"""Every refusal that is allowed, with words of its reason; any other one fails, and so does one that is gone."""

SETTLED = "llava_onevision+video"
"""What is run in all settings by default; `pytest -m slow` runs everything in all of them."""
SETTINGS = [("sdpa", "fp32"), ("eager", "bf16"), ("eager", "fp32"), ("sdpa", "bf16")]
"""Attention and dtype; the first two have both values of each."""


def _case(*case: str, is_short: bool) -> Any:
    return pytest.param(*case, marks=() if is_short else pytest.mark.slow)


CASES = [
    _case(method, subject, *setting, is_short=subject == SETTLED or number == int(_is_first(subject)))
    for method, subject in PAIRS
    for number, setting in enumerate(SETTINGS)
]

PADDED_CASES = [
    _case(
        method,
        subject,
        *setting,
        padding,
        is_short=number < 2 and (subject == SETTLED or (padding == "alone" and _is_first(subject))),
    )
    for method, subject in PAIRS
    for number, setting in enumerate(SETTINGS)
    for padding in ("alone", "left", "right")
]

SIDED_PAIRS = [
    _case(*pair, side, is_short=_is_first(pair[1]) and (side == "left" or pair[1] == SETTLED))
    for pair in PAIRS
    for side in ("left", "right")
]

FIRST_PAIRS = [_case(*pair, is_short=_is_first(pair[1])) for pair in PAIRS]
"""Every method in every family with a video, or with an image where the family takes no video."""

TRACED_PAIRS = [
    _case(*pair, is_short=pair[1] == SETTLED or pair[0] == "focus") for pair in PAIRS if _is_first(pair[1])
]
"""Pairs whose whole run is repeated; by default every method and every family once."""


def model_of(subject: str, attention: str = "sdpa", dtype: str = "fp32") -> LoadedModel:
    """Return the tiny model of a family."""
    return _model(subject.partition("+")[0], attention, dtype)


@cache
def _model(family: str, attention: str, dtype: str) -> LoadedModel:
    return load_model(
        family, size="tiny", seed=7, dtype=dtype, attention=attention, device="cpu", is_offline=True
    )


def prompt_of(subject: str, loaded: LoadedModel, seed: int = 0, question: str = "What?") -> Prompt:
    """Return a prompt with a video of nine frames, or with an image."""
    sample = support.video(seed, frames=9) if subject.endswith("+video") else support.image(seed, 140, 140)
    return build_prompt(loaded, sample, question)


@cache
def refusal(name: str, subject: str) -> str:
    """Return why a method refuses a prompt, in a trial prefill; empty if it does not.

    Raises:
        AssertionError: `REFUSALS` says otherwise.
    """
    loaded = model_of(subject)
    reason = ""
    try:
        run(loaded, method_of(name, loaded), [prompt_of(subject, loaded)])
    except UnsupportedError as error:
        reason = str(error)
    expected = REFUSALS.get((name, subject), "")
    assert expected in reason, f"{name} no longer refuses {subject}: {reason!r}"
    assert bool(reason) == bool(expected), f"{name} refuses {subject}: {reason}"
    return reason


def method_of(name: str, loaded: LoadedModel) -> CompressionMethod:
    """Return a method with parameters that suit the model."""
    default = build_method(name, {})
    return build_method(
        name, support.SMALL.get(name) or default.study.fitted(loaded.adapter.geometry(loaded.model))
    )


@dataclass
class Probe:
    """What the linear layers of the decoder were given; by (layer, GEMM), axes (batch, tokens, width)."""

    inputs: dict[tuple[int, str], Tensor] = field(default_factory=dict)

    def take(self, place: tuple[int, str], module: nn.Module, args: tuple[Tensor, ...]) -> None:
        """Keep the input of a linear layer."""
        self.inputs[place] = args[0].detach().clone()


@contextmanager
def probed(model: Any, layers: nn.ModuleList) -> Iterator[Probe]:
    """Watch the linear layers themselves, below all hooks of a method."""
    probe, handles = Probe(), []
    for index, layer in enumerate(layers):
        watched = {
            "q_proj": layer.self_attn.q_proj,
            "o_proj": layer.self_attn.o_proj,
            "gate_proj": layer.mlp.gate_proj,
            "down_proj": layer.mlp.down_proj,
        }
        for gemm, module in watched.items():
            handles.append(module.register_forward_pre_hook(partial(probe.take, (index, gemm))))
    try:
        yield probe
    finally:
        for handle in handles:
            handle.remove()


def layers_of(loaded: LoadedModel) -> Any:
    """Return the decoder layers."""
    return [point.layer for point in loaded.adapter.points(loaded.model).layers]


def run(
    loaded: LoadedModel, method: CompressionMethod, prompts: list[Prompt], side: str = "left"
) -> tuple[list[RecordedSample], Any, Probe]:
    """Record one prefill of a padded batch."""
    inputs = prompts[0].inputs if len(prompts) == 1 else support.padded(prompts, side)
    recorder = Recorder(loaded.adapter.geometry(loaded.model), method, keep_masks=True)
    layouts = [prompt.layout for prompt in prompts]
    with (
        torch.inference_mode(),
        attach(loaded.model, loaded.adapter, method, recorder, layouts),
        probed(loaded.model, layers_of(loaded)) as probe,
    ):
        output = loaded.model(**inputs, use_cache=True)
    return recorder.samples, output, probe


def present_tokens(sample: RecordedSample) -> dict[tuple[int, str], list[int]]:
    """Follow the merge maps: tokens present by (layer, point)."""
    present = list(range(sample.header.sequence_tokens))
    found: dict[tuple[int, str], list[int]] = {}
    points = ("layer_input", "after_attention")
    layers = 1 + max(record.layer for record in sample.records)
    for layer in range(layers):
        for point in points:
            for record in sample.records:
                if (record.kind, record.layer, record.point) == ("map", layer, point):
                    assert record.index.tolist() == present
                    present = record.index[record.value == record.index].tolist()
            found[layer, point] = present
    return found
