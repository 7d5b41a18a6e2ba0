"""Tiny models and prompts for tests of the attachment."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

from focal.testing.prompts import image, padded, picture, video
from focal_algorithm.checkpoints.loading import LoadedModel, load_model
from focal_algorithm.hooks import attach
from focal_algorithm.hooks.recorder import RecordedSample, Recorder
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.methods.build import build_method
from focal_algorithm.prompts.media.media import MediaSample
from focal_algorithm.tracing.prompting import Prompt, build_prompt

__all__ = ["image", "padded", "picture", "video"]

torch.set_num_threads(1)

PRUNING = {"selected_layers": (0, 2), "alpha_list": (0.5, 0.2), "vector_size": 16, "m_tile": 16}

SMALL: dict[str, dict[str, Any]] = {
    "sparsevlm": {"pruning_layers": (0, 1), "kept_tokens": (6, 3)},
    "sparsezip": {"dominant": 2, "contextual": 1, "k_min": 1, "k_max": 2},
    "visionzip": {"dominant": 2, "contextual": 1},
    "zip_parts": {"dominant": 2, "contextual": 1},
    "adaptiv": {"threshold": 0.1},
    "prumerge_plus": {"is_adaptive": False},  # of 16 tokens an adaptive distance may sample all
    "divprune": {"mode": "strict"},  # the published rule orders duplicates, such as still frames, by rounding
    "dycoke": {"layer": 2, "mode": "strict"},
    "evs": {"mode": "strict"},  # as divprune: still frames differ by rounding only
    "fastvid": {"retain_ratio": 0.5, "segments": 2, "mode": "strict"},
    "holitom": {"retain_ratio": 0.4, "inner_layer": 2},
    "focus": PRUNING,
    "focus_sec_only": PRUNING,
    "framefusion": {"cost": 0.6, "similarity": 0.9},
}
"""Parameters with which a method acts on a decoder of four layers."""


def tiny(attention: str = "sdpa") -> LoadedModel:
    return _tiny(attention)


@cache
def _tiny(attention: str) -> LoadedModel:
    # Tests share it, and some ask for gradients: not made of inference tensors, whoever asks first.
    with torch.inference_mode(False):
        return load_model(
            "llava_onevision",
            size="tiny",
            seed=7,
            dtype="fp32",
            attention=attention,
            device="cpu",
            is_offline=True,
        )


def suited(name: str, **overrides: Any) -> CompressionMethod:
    """Return a method with parameters for four layers: those of `SMALL`, else what it says it needs."""
    default = build_method(name, {})
    loaded = tiny()
    parameters = SMALL.get(name) or default.study.fitted(loaded.geometry)
    return build_method(name, {**parameters, **overrides})


def prompt(sample: MediaSample | None = None, question: str = "What?", attention: str = "sdpa") -> Prompt:
    return build_prompt(tiny(attention), sample or video(), question)


def record(
    method: CompressionMethod, inputs: dict[str, Any], attention: str = "sdpa", **options: Any
) -> tuple[list[RecordedSample], Any]:
    """Run one prefill; return what was recorded and the model's output."""
    loaded = tiny(attention)
    recorder = Recorder(loaded.geometry, method, keep_masks=True)
    with torch.inference_mode(), attach(loaded.model, loaded.adapter, method, recorder, **options):
        output = loaded.model(**inputs)
    return recorder.samples, output


def generate(inputs: dict[str, Any], attention: str = "sdpa", **options: Any) -> Any:
    loaded = tiny(attention)
    with torch.inference_mode():
        return loaded.model.generate(
            **inputs,
            max_new_tokens=5,
            min_new_tokens=5,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
            **options,
        )
