"""Tiny models of every family, with a prompt of each kind that it takes."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

import attach_support as support
from focal_algorithm.checkpoints.loading import LoadedModel, load_model
from focal_algorithm.hooks import attach
from focal_algorithm.hooks.recorder import RecordedSample, Recorder
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.models import MODELS
from focal_algorithm.tracing.prompting import Prompt, build_prompt

CASES = [(family, kind) for family in MODELS for kind in sorted(MODELS.load(family).modalities)]
"""Family and what it is shown."""


@cache
def tiny(family: str, attention: str = "sdpa", dtype: str = "fp32") -> LoadedModel:
    return load_model(
        family, size="tiny", seed=7, dtype=dtype, attention=attention, device="cpu", is_offline=True
    )


def prompt(loaded: LoadedModel, kind: str, seed: int = 1, question: str = "What?") -> Prompt:
    """A picture that is wider than high, or two scenes of two frames."""
    side = loaded.adapter.sample_pixels(loaded.model)
    if kind == "image":
        return build_prompt(loaded, support.image(seed, side + 40 * seed, side), question)
    return build_prompt(loaded, support.video(seed), question)


def two(loaded: LoadedModel, kind: str) -> list[Prompt]:
    return [prompt(loaded, kind, 1), prompt(loaded, kind, 2, "And what of this longer question?")]


def record(
    loaded: LoadedModel, method: CompressionMethod, inputs: dict[str, Any], **options: Any
) -> tuple[list[RecordedSample], Any]:
    recorder = Recorder(loaded.adapter.geometry(loaded.model), method, keep_masks=True)
    with torch.inference_mode(), attach(loaded.model, loaded.adapter, method, recorder, **options):
        output = loaded.model(**inputs, use_cache=True)
    return recorder.samples, output


def generate(loaded: LoadedModel, inputs: dict[str, Any], **options: Any) -> Any:
    with torch.inference_mode():
        return loaded.model.generate(
            **inputs,
            max_new_tokens=3,
            min_new_tokens=3,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
            **options,
        )
