"""From the name of a family, a folder or a Hub name to a model with its adapter and tokenizer."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from focal_algorithm.inputs.preprocess import PIXEL_SCALE
from focal_algorithm.inputs.tokens import ByteTokenizer, Tokenizer, checkpoint_tokenizer
from focal_algorithm.models import MODELS
from focal_algorithm.models.base import ModelAdapter
from focal_common.errors import ConfigError, RunError, UnsupportedError, near_matches

__all__ = ["DTYPES", "LoadedModel", "load_model"]

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to run.

    Attributes:
        model: In evaluation mode.
        adapter: Its family.
        tokenizer: Its tokenizer.
        checkpoint: As the trace header calls it.
    """

    model: Any
    adapter: ModelAdapter
    tokenizer: Tokenizer
    checkpoint: str


def load_model(
    name: str, *, size: str, seed: int, dtype: str, attention: str, device: str, is_offline: bool
) -> LoadedModel:
    """Build a family with seeded random weights, or load a checkpoint.

    Args:
        name: A family in `MODELS`, a folder, or a Hub name with a slash.
        size: Size of a random model; ignored for checkpoints.
        seed: Of random weights.
        dtype: ``fp32``, ``bf16`` or ``fp16``.
        attention: ``sdpa`` or ``eager``.
        device: torch device name.
        is_offline: Whether only local files may be used.

    Raises:
        ConfigError: Unknown name or dtype, or files that cannot be read.
        UnsupportedError: fp16 on a CPU, or a family without adapter.
    """
    if dtype not in DTYPES:
        raise ConfigError(f"unknown dtype '{dtype}'; {near_matches(dtype, DTYPES)}")
    if dtype == "fp16" and torch.device(device).type == "cpu":
        raise UnsupportedError(
            "fp16 on a CPU is hundreds of times slower than bf16; use --dtype bf16 or fp32"
        )
    if name in MODELS:
        adapter = MODELS.load(name)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = adapter.random_model(size, attention)
        checkpoint, tokenizer = f"random:{seed}", _bytes()
    else:
        adapter = _adapter_of(name, is_offline)
        _check_normalisation(name, is_offline)
        model = _from_files(adapter, name, DTYPES[dtype], attention, is_offline)
        checkpoint, tokenizer = _checkpoint_name(name, model), checkpoint_tokenizer(name, is_offline)
    model = model.to(device=device, dtype=DTYPES[dtype]).eval()
    return LoadedModel(model, adapter(), tokenizer, checkpoint)


def _bytes() -> Tokenizer:
    return ByteTokenizer()


def _adapter_of(name: str, is_offline: bool) -> type[ModelAdapter]:
    is_folder = Path(name).is_dir()
    if not is_folder and not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise ConfigError(
            f"unknown model '{name}', neither a family nor a folder nor a Hub name; "
            f"{near_matches(name, MODELS)}"
        )
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(name, local_files_only=is_offline)
    except (OSError, ValueError, KeyError) as error:
        where = f"{name}/config.json" if is_folder else name
        hint = (
            "" if is_folder or not is_offline else "; it is not in the local cache and --profile is offline"
        )
        raise ConfigError(f"{where}: no readable model configuration{hint} ({_one_line(error)})") from error
    for family in MODELS:
        adapter = MODELS.load(family)
        if config.model_type in adapter.model_types:
            return adapter
    raise UnsupportedError(
        f"{name}: no adapter for model_type '{config.model_type}'; supported families: {', '.join(MODELS)}"
    )


def _from_files(
    adapter: type[ModelAdapter], name: str, dtype: torch.dtype, attention: str, is_offline: bool
) -> Any:
    try:
        return adapter.load_model(name, dtype, attention, is_offline)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{name}: the checkpoint cannot be loaded ({_one_line(error)})") from error
    except torch.OutOfMemoryError as error:
        raise RunError(f"{name}: the checkpoint does not fit into memory") from error


def _check_normalisation(name: str, is_offline: bool) -> None:
    """Refuse a checkpoint that was trained on pixels scaled otherwise than ours: its answers would be wrong."""
    from transformers.utils import cached_file

    found = cached_file(
        name,
        "preprocessor_config.json",
        local_files_only=is_offline,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    if found is None:
        return
    try:
        settings = json.loads(Path(found).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{name}/preprocessor_config.json: not readable JSON ({_one_line(error)})"
        ) from error
    for field in ("image_mean", "image_std"):
        values = settings.get(field)
        if values is not None and any(value != PIXEL_SCALE for value in values):
            raise UnsupportedError(
                f"{name}/preprocessor_config.json: {field} is {values}; expected {PIXEL_SCALE} in every channel"
            )


def _checkpoint_name(name: str, model: Any) -> str:
    # Only the folder's name: a trace must not depend on where a user keeps checkpoints.
    revision = getattr(model.config, "_commit_hash", None)
    return Path(name).name if Path(name).is_dir() else f"{name}@{revision}" if revision else name


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
