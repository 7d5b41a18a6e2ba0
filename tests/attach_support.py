"""Tiny models and prompts for tests of the attachment."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from PIL import Image

from focal_algorithm.hooks import attach
from focal_algorithm.inputs.source import MediaSample
from focal_algorithm.loading import LoadedModel, load_model
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.methods.build import build_method
from focal_algorithm.prompts import Prompt, build_prompt
from focal_algorithm.recorder import RecordedSample, Recorder

torch.set_num_threads(1)

PRUNING = {"selected_layers": (0, 2), "alpha_list": (0.5, 0.2), "vector_size": 16, "m_tile": 16}

SMALL: dict[str, dict[str, Any]] = {
    "sparsevlm": {"pruning_layers": (0, 1), "kept_tokens": (6, 3)},
    "sparsezip": {"dominant": 2, "contextual": 1, "k_min": 1, "k_max": 2},
    "visionzip": {"dominant": 2, "contextual": 1},
    "zip_parts": {"dominant": 2, "contextual": 1},
    "adaptiv": {"threshold": 0.1},
    "divprune": {"mode": "strict"},  # the published rule orders duplicates, such as still frames, by rounding
    "focus": PRUNING,
    "focus_sec_only": PRUNING,
    "framefusion": {"cost": 0.6, "similarity": 0.9},
}
"""Parameters with which a method acts on a decoder of four layers."""


def tiny(attention: str = "sdpa") -> LoadedModel:
    return _tiny(attention)


@cache
def _tiny(attention: str) -> LoadedModel:
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
    parameters = SMALL.get(name) or default.study.fitted(loaded.adapter.geometry(loaded.model))
    return build_method(name, {**parameters, **overrides})


def picture(seed: int, width: int = 70, height: int = 70) -> Image.Image:
    """Blocks of random colour: neighbours are alike, places differ."""
    blocks = np.random.default_rng(seed).integers(0, 255, size=(5, 5, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((width, height), Image.Resampling.BICUBIC)


def video(seed: int = 0, frames: int = 4) -> MediaSample:
    """Two scenes, each shown in consecutive frames."""
    shown = tuple(picture(seed * 10 + frame * 2 // frames) for frame in range(frames))
    return MediaSample(f"video{seed}", shown, is_video=True, origin="random")


def image(seed: int = 0, width: int = 70, height: int = 70) -> MediaSample:
    return MediaSample(f"image{seed}", (picture(seed, width, height),), is_video=False, origin="random")


def prompt(sample: MediaSample | None = None, question: str = "What?", attention: str = "sdpa") -> Prompt:
    return build_prompt(tiny(attention), sample or video(), question)


def record(
    method: CompressionMethod, inputs: dict[str, Any], attention: str = "sdpa", **options: Any
) -> tuple[list[RecordedSample], Any]:
    """Run one prefill; return what was recorded and the model's output."""
    loaded = tiny(attention)
    recorder = Recorder(loaded.adapter.geometry(loaded.model), method, keep_masks=True)
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


def padded(prompts: list[Prompt], side: str) -> dict[str, Any]:
    """Stack prompts of different lengths into one batch."""
    fills = {"input_ids": 256, "attention_mask": 0, "mm_token_type_ids": 0}
    batch: dict[str, Any] = {}
    for name in dict.fromkeys(name for p in prompts for name in p.inputs):
        parts = [p.inputs[name] for p in prompts if name in p.inputs]
        batch[name] = torch.cat([_grown(part, parts, side, fills.get(name, 0)) for part in parts])
    return batch


def _grown(part: torch.Tensor, parts: list[torch.Tensor], side: str, fill: int) -> torch.Tensor:
    # Pictures of different size end with zeros; tokens are padded on the side asked for.
    pads: list[int] = []
    for axis in range(part.ndim - 1, 0, -1):
        missing = max(other.shape[axis] for other in parts) - part.shape[axis]
        pads += [missing, 0] if part.ndim == 2 and side == "left" else [0, missing]
    return torch.nn.functional.pad(part, pads, value=fill)
