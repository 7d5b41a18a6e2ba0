"""Tiny models of every family with random weights, prompts of each kind, and one run of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from PIL import Image

from focal_algorithm.checkpoints.loading import LoadedModel, load_model
from focal_algorithm.hooks import attach
from focal_algorithm.hooks.recorder import RecordedSample, Recorder
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.models import MODELS
from focal_algorithm.prompts.media.media import MediaSample
from focal_algorithm.tracing.prompting import Prompt, build_prompt

CASES = [(family, kind) for family in MODELS for kind in sorted(MODELS.load(family).modalities)]
"""Family and what it is shown."""


def picture(seed: int, width: int = 70, height: int = 70) -> Image.Image:
    """Return blocks of random colour: neighbours are alike, places differ."""
    blocks = np.random.default_rng(seed).integers(0, 255, size=(5, 5, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((width, height), Image.Resampling.BICUBIC)


def video(seed: int = 0, frames: int = 4) -> MediaSample:
    """Return two scenes, each shown in consecutive frames."""
    shown = tuple(picture(seed * 10 + frame * 2 // frames) for frame in range(frames))
    return MediaSample(f"video{seed}", shown, is_video=True, origin="random")


def image(seed: int = 0, width: int = 70, height: int = 70) -> MediaSample:
    """Return one picture."""
    return MediaSample(f"image{seed}", (picture(seed, width, height),), is_video=False, origin="random")


@cache
def tiny(family: str, attention: str = "sdpa", dtype: str = "fp32") -> LoadedModel:
    """Return a model of four layers of a family; the same one for the same words."""
    # Shared by tests, some of which ask for gradients: not made of inference tensors, whoever asks first.
    with torch.inference_mode(False):
        return load_model(
            family, size="tiny", seed=7, dtype=dtype, attention=attention, device="cpu", is_offline=True
        )


def prompt(loaded: LoadedModel, kind: str, seed: int = 1, question: str = "What?") -> Prompt:
    """Return a prompt with a picture that is wider than high, or with two scenes of two frames."""
    side = loaded.adapter.sample_pixels(loaded.model)
    if kind == "image":
        return build_prompt(loaded, image(seed, side + 40 * seed, side), question)
    return build_prompt(loaded, video(seed), question)


def two(loaded: LoadedModel, kind: str) -> list[Prompt]:
    """Return two prompts of different length."""
    return [prompt(loaded, kind, 1), prompt(loaded, kind, 2, "And what of this longer question?")]


def record(
    loaded: LoadedModel, method: CompressionMethod, inputs: dict[str, Any], **options: Any
) -> tuple[list[RecordedSample], Any]:
    """Run one prefill; return what was recorded and the model's output."""
    recorder = Recorder(loaded.geometry, method, keep_masks=True)
    with torch.inference_mode(), attach(loaded.model, loaded.adapter, method, recorder, **options):
        output = loaded.model(**inputs, use_cache=True)
    return recorder.samples, output


def generate(loaded: LoadedModel, inputs: dict[str, Any], **options: Any) -> Any:
    """Decode three tokens greedily, with the logits of each."""
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
