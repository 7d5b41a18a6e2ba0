"""Reads the weight files of a checkpoint folder one at a time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from focal_common.errors import ConfigError

__all__ = ["largest_token_id", "read_json", "read_weights", "weight_files", "weight_names"]


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; raises `ConfigError` if there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not readable as JSON ({' '.join(str(error).split())[:120]})") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: holds a {type(content).__name__}; expected an object")
    return content


def weight_files(folder: Path) -> list[Path]:
    """Return the weight files in order; safetensors are preferred to pickled ones."""
    for pattern in ("model*.safetensors", "pytorch_model*.bin"):
        found = sorted(folder.glob(pattern))
        if found:
            return found
    raise ConfigError(f"{folder}: holds no weights; expected model*.safetensors or pytorch_model*.bin")


def weight_names(path: Path) -> list[str]:
    """Return the names of the tensors of a weight file; raises `ConfigError` if it is broken."""
    if path.suffix != ".safetensors":
        return list(read_weights(path))
    try:
        with safe_open(path, framework="pt") as content:
            return list(content.keys())
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from error


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """Read one weight file without running anything in it; raises `ConfigError` if it is broken."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content: Mapping[str, Tensor] = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        return content
    except (OSError, RuntimeError, ValueError, SafetensorError, UnpicklingError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ConfigError:
    return ConfigError(f"{path}: not readable as weights ({' '.join(str(error).split())[:120]})")


def largest_token_id(folder: Path) -> int:
    """Return the largest id that a folder's tokenizer gives; -1 where it has none that we can read."""
    largest = -1
    if (folder / "tokenizer.json").is_file():
        content = read_json(folder / "tokenizer.json")
        vocabulary = content.get("model", {}).get("vocab", {})
        added = [int(token["id"]) for token in content.get("added_tokens", [])]
        largest = max([*added, *(vocabulary.values() if isinstance(vocabulary, dict) else []), largest])
    for name in ("vocab.json", "added_tokens.json"):
        if (folder / name).is_file():
            largest = max([*read_json(folder / name).values(), largest])
    return largest
