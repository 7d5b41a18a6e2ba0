"""The trained models that ship with Focal."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

from focal_common.errors import ConfigError, near_matches
from focal_common.files import sha256_of_file
from focal_common.places import plain_name
from focal_common.reading.json_files import read_json

__all__ = ["MANIFEST", "SHIPPED", "TRAINED_ON", "check_weights", "shipped_model", "weights_digest"]

SHIPPED: dict[str, str] = {"shapes_video": "llava_onevision", "shapes_image": "llava"}
"""Name of each shipped model, which is that of its folder here, and the family whose adapter reads it."""

TRAINED_ON: dict[str, tuple[str, ...]] = {
    "shapes_video": ("shapes-video",),
    "shapes_image": ("shapes-pope", "shapes-mme", "shapes-fine"),
}
"""The procedural benchmarks, by name in `focal_algorithm.tasks.TASKS`, whose pictures each shipped model knows."""

MANIFEST = "weights.json"
_WEIGHTS = "model.safetensors"
_INSTALL_AGAIN = "install Focal again"


def shipped_model(name: str) -> Path:
    """Return the checkpoint folder of a shipped model.

    Raises:
        ConfigError: No such model, or its weights are missing or were changed.
    """
    if name not in SHIPPED:
        raise ConfigError(f"unknown shipped model '{name}'; {near_matches(name, SHIPPED)}")
    with as_file(files("focal_algorithm.models.weights") / name) as folder:
        check_weights(folder, f"{_INSTALL_AGAIN}, or train it with 'focal train {name.split('_')[-1]}'")
        return folder


def weights_digest(folder: Path) -> str:
    """Return what the manifest of a checked folder says is the SHA-256 of its weights."""
    return str(read_json(folder / MANIFEST)["sha256"][_WEIGHTS])


def check_weights(folder: Path, remedy: str = "train the model again with 'focal train'") -> None:
    """Compare every file of a trained model with the hash written when it was exported.

    Args:
        folder: Folder of the model.
        remedy: What the user can do, for the message.

    Raises:
        ConfigError: A file is missing or was changed.
    """
    expected = read_json(folder / MANIFEST, hint=remedy).get("sha256")
    if (
        not isinstance(expected, dict) or _WEIGHTS not in expected
    ):  # a list without it would call any weights right
        raise ConfigError(
            f"{folder / MANIFEST}: field 'sha256' must hold the hashes of all files, {_WEIGHTS} among them; {remedy}"
        )
    for name, digest in expected.items():
        path = folder / plain_name(name, f"{folder / MANIFEST}: 'sha256'")
        if not path.is_file():
            raise ConfigError(f"{path}: is missing; {remedy}")
        if sha256_of_file(path) != digest:
            raise ConfigError(f"{path}: does not have the sha256 of {MANIFEST}; {remedy}")
