"""Pairs of a method and a model family, and probes that see what the model itself computes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

import attach_support as support
from focal_algorithm.hooks import attach
from focal_algorithm.loading import LoadedModel, load_model
from focal_algorithm.methods import METHODS
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.methods.build import build_method
from focal_algorithm.models import MODELS
from focal_algorithm.prompts import Prompt, build_prompt
from focal_algorithm.recorder import RecordedSample, Recorder
from focal_common.errors import UnsupportedError

PAIRS = [(method, family) for family in MODELS for method in METHODS]

SETTLED = "llava_onevision"
"""The family for which parameters in `attach_support.SMALL` are chosen."""
SETTINGS = [("sdpa", "fp32"), ("eager", "bf16"), ("eager", "fp32"), ("sdpa", "bf16")]
"""Attention and dtype; families beside the first run the two halves only, to stay fast."""

CASES = [
    (method, family, *setting)
    for method, family in PAIRS
    for setting in (SETTINGS if family == SETTLED else SETTINGS[:2])
]

PADDED_CASES = [
    (*case, padding)
    for case in CASES
    for padding in (("alone", "left", "right") if case[1] == SETTLED else ("alone",))
]


@cache
def model_of(family: str, attention: str = "sdpa", dtype: str = "fp32") -> LoadedModel:
    """Return the tiny model of a family."""
    return load_model(
        family, size="tiny", seed=7, dtype=dtype, attention=attention, device="cpu", is_offline=True
    )


def prompt_of(loaded: LoadedModel, seed: int = 0, question: str = "What?") -> Prompt:
    """Return a prompt with a video of nine frames, or with an image where the family takes no video."""
    try:
        return build_prompt(loaded, support.video(seed, frames=9), question)
    except UnsupportedError:
        return build_prompt(loaded, support.image(seed), question)


def method_of(name: str, loaded: LoadedModel) -> CompressionMethod:
    """Return a method with parameters that suit the model."""
    default = build_method(name, {})
    return build_method(
        name, support.SMALL.get(name) or default.fitted(loaded.adapter.geometry(loaded.model))
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
