"""What ``focal doctor --model`` looks at: a family or checkpoint, without loading weights or running its code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from focal_algorithm.environment import Check
from focal_algorithm.loading import find_adapter, model_settings
from focal_algorithm.methods import METHODS
from focal_algorithm.models import MODELS
from focal_algorithm.models.base import ModelAdapter
from focal_common.errors import FocalError

__all__ = ["model_checks"]

_TASKS = ("videomme", "mlvu", "mvbench", "vqav2", "mme", "mmbench")
"""Of the published tables (Focus, HPCA 2026, sec. VII)."""


def model_checks(name: str, is_offline: bool, trust_remote_code: bool) -> list[Check]:
    """Say what is supported for a model, and why not.

    Args:
        name: Family, folder or Hub name, as ``focal trace --model`` takes it.
        is_offline: Whether only local files may be used.
        trust_remote_code: Whether the user allows code that a checkpoint brings along.
    """
    try:
        if name in MODELS:
            adapter = MODELS.load(name)
            with torch.device("meta"):
                config = adapter.random_model("small", "sdpa").config.to_dict()
            found = [Check("model", f"{name}: random weights, sizes small and tiny")]
        else:
            adapter = find_adapter(name, is_offline, trust_remote_code)
            config = model_settings(name, is_offline)
            found = [Check("model", f"{name}: a {adapter.family} checkpoint"), *_files(name)]
    except FocalError as error:
        return [Check("model", name, str(error))]
    text = config.get(adapter.text_config_name, config)
    found += [
        Check("inputs", f"one {' or one '.join(sorted(adapter.modalities))} per prompt, batches of any size"),
        Check("decoder", _decoder(text)),
        Check("attention", "eager and sdpa; others show no operands, so they are refused"),
    ]
    if adapter.has_remote_code:
        found.append(Check("remote code", "checkpoints bring their own; run only with --trust-remote-code"))
    return found + [_method(method, text, adapter) for method in METHODS]


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
    windowed = set(text.get("layer_types") or ()) - {"full_attention"} or bool(text.get("use_sliding_window"))
    if method.changes_length and windowed:
        return Check(f"method {name}", "no: it drops tokens, which sliding-window layers do not support")
    tasks = [task for task in _TASKS if method.published(adapter().published_name, task)]
    return Check(f"method {name}", f"yes, published parameters for {', '.join(tasks)}" if tasks else "yes")
