"""The trained models that ship with Focal."""

from __future__ import annotations

import json
from importlib.resources import as_file, files
from pathlib import Path

from focal_common.errors import ConfigError, near_matches
from focal_common.files import sha256_of_file

__all__ = ["MANIFEST", "SHIPPED", "check_weights", "shipped_model"]

SHIPPED: dict[str, str] = {}
"""Folder of each model that passed its acceptance check, and the family whose adapter reads it; none has yet."""

MANIFEST = "weights.json"


def shipped_model(name: str) -> Path:
    """Return the checkpoint folder of a shipped model, for ``--model``.

    Raises:
        ConfigError: No such model, or its weights are missing or were changed.
    """
    if name not in SHIPPED:
        raise ConfigError(f"unknown shipped model '{name}'; {near_matches(name, SHIPPED)}")
    with as_file(files("focal_algorithm.weights") / name) as folder:
        check_weights(folder)
        return folder


def check_weights(folder: Path) -> None:
    """Compare every file of a trained model with the hash written when it was exported.

    Raises:
        ConfigError: A file is missing or was changed.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        expected = dict(manifest["sha256"])
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"{folder / MANIFEST}: missing or unreadable; expected hashes of all files"
        ) from error
    for name, digest in expected.items():
        path = folder / name
        if not path.is_file():
            raise ConfigError(f"{path}: is missing; install Focal again, or train with 'focal train'")
        if sha256_of_file(path) != digest:
            raise ConfigError(f"{path}: does not have the sha256 of {MANIFEST}; install Focal again")
