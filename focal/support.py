"""What ``focal doctor --model`` looks at: a family or checkpoint, without loading weights or running its code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from focal.environment import Check
from focal_algorithm.checkpoints.loading import (
    LoadedModel,
    find_adapter,
    load_model,
    model_settings,
    random_model,
    runs_checkpoint_code,
)
from focal_algorithm.hooks import attach
from focal_algorithm.methods import METHODS
from focal_algorithm.methods.base import CompressionMethod, changes_length
from focal_algorithm.methods.build import build_method
from focal_algorithm.models import MODELS, model_location
from focal_algorithm.models.base import ModelAdapter
from focal_algorithm.models.weights import SHIPPED
from focal_algorithm.prompts.media.media import photograph_clip
from focal_algorithm.tracing.prompting import build_prompt
from focal_common.errors import ConfigError, FocalError, UnsupportedError

__all__ = ["method_support", "model_checks"]

_PROBE_FRAMES = 16
"""Enough for every default where two frames make one: DyCoke as published needs five, FastVID eight."""

_TASKS = ("videomme", "mlvu", "mvbench", "vqav2", "mme", "mmbench")
"""Of the published tables (Focus, HPCA 2026, sec. VII)."""


def model_checks(name: str, is_offline: bool, trust_remote_code: bool) -> list[Check]:
    """Say what is supported for a model, and why not.

    Args:
        name: Shipped model, family, folder or Hub name, as ``focal trace --model`` takes it.
        is_offline: Whether only local files may be used.
        trust_remote_code: Whether the user allows code that a checkpoint brings along.
    """
    try:
        if name in MODELS:
            adapter = MODELS.load(name)
            with torch.device("meta"):
                config = random_model(adapter, "small", "sdpa").config.to_dict()
            found = [Check("model", f"{name}: random weights, sizes small and tiny")]
        else:
            adapter = find_adapter(name, is_offline, trust_remote_code)
            config = model_settings(name, is_offline)
            kind = "trained model that ships with Focal" if name in SHIPPED else "checkpoint"
            found = [Check("model", f"{name}: a {adapter.family} {kind}"), *_files(model_location(name))]
    except FocalError as error:
        return [Check("model", name, str(error))]
    text = config.get("text_config", config)
    found += [
        Check("inputs", f"one {' or one '.join(sorted(adapter.modalities))} per prompt, batches of any size"),
        Check("decoder", _decoder(text)),
        Check("attention", "eager and sdpa; others show no operands, so they are refused"),
    ]
    if runs_checkpoint_code(adapter):
        found.append(Check("remote code", "checkpoints bring their own; run only with --trust-remote-code"))
    return found + [_method(method, text, adapter) for method in METHODS]


def method_support(
    method: CompressionMethod, text: Mapping[str, Any], adapter: type[ModelAdapter]
) -> tuple[str, str]:
    """Return why a method does not work on a model, and what does not work although the pair does.

    Args:
        method: What to try.
        text: Configuration of the model's decoder; empty for that of its family.
        adapter: Its family.

    Returns:
        Two sentences, empty where there is nothing to say.
    """
    others = set(text.get("layer_types") or ()) - {"full_attention", "sliding_attention"}
    if changes_length(method) and others:
        return f"it drops tokens, which layers of type {', '.join(sorted(others))} do not support", ""
    refusals = _refusals(adapter.family, method)
    if set(refusals) == set(adapter.modalities):
        return [*refusals.values()][-1], ""  # of a video, where the family takes any
    if refusals:
        kind, reason = next(iter(refusals.items()))
        return "", f"not {'an image' if kind == 'image' else f'a {kind}'}: {reason}"
    return "", ""


def _refusals(family: str, method: CompressionMethod) -> dict[str, str]:
    """Return why a method refuses pictures of a kind, by trying it on a tiny random model of the family."""
    loaded = _tiny(family)
    fitted = method.study.fitted(loaded.geometry)
    built = replace(method, **fitted) if method == type(method)() else method
    size_pixels = loaded.adapter.sample_pixels(loaded.model)
    found = {}
    for kind in sorted(loaded.adapter.modalities):
        clip = photograph_clip(0, _PROBE_FRAMES if kind == "video" else 1, size_pixels, 0)
        sample = clip if kind == "video" else replace(clip, is_video=False)
        try:
            prompt = build_prompt(loaded, sample, "What?")
            with torch.inference_mode(), attach(loaded.model, loaded.adapter, built, layouts=[prompt.layout]):
                loaded.model(**prompt.inputs, logits_to_keep=1)
        except UnsupportedError as refusal:
            found[kind] = str(refusal).removeprefix(f"{prompt.layout.sample_id}: ")
        except ConfigError:
            continue  # a budget for larger pictures; the pair itself works
    return found


@cache
def _tiny(family: str) -> LoadedModel:
    return load_model(
        family, size="tiny", seed=0, dtype="fp32", attention="sdpa", device="cpu", is_offline=True
    )


def _files(name: str) -> list[Check]:
    folder = Path(name)
    if not folder.is_dir():
        return []
    has_weights = any(folder.glob("*.safetensors")) or any(folder.glob("*.bin"))
    has_tokenizer = any(folder.glob("tokenizer*"))
    return [
        Check(
            "weights",
            "found" if has_weights else "none",
            "" if has_weights else f"{name}: put the checkpoint's *.safetensors beside its config.json",
        ),
        Check("tokenizer", "found" if has_tokenizer else "none: one token per byte"),
    ]


def _decoder(text: Mapping[str, Any]) -> str:
    fields = {"num_hidden_layers": "layers", "hidden_size": "wide", "num_attention_heads": "heads"}
    known = [f"{text[field]} {word}" for field, word in fields.items() if field in text]
    return ", ".join(known) or "as the configuration class has it"


def _method(name: str, text: Mapping[str, Any], adapter: type[ModelAdapter]) -> Check:
    method = METHODS.load(name)
    refusal, limits = method_support(build_method(name, {}), text, adapter)
    if refusal:
        return Check(f"method {name}", f"no: {refusal}")
    if limits:
        return Check(f"method {name}", f"yes, but {limits}")
    tasks = [task for task in _TASKS if method.study.published(adapter.family, task)]
    return Check(f"method {name}", f"yes, published parameters for {', '.join(tasks)}" if tasks else "yes")
