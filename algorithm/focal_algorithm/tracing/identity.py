"""What identifies a measured accuracy: weights, method as it was resolved, arithmetic, and the questions.

``focal eval`` and ``focal trace`` ask here, so that one run has one hash whichever of them made it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from focal_algorithm.checkpoints.hub import pinned
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.models import MODELS, model_location
from focal_algorithm.tracing.settings import RunSettings
from focal_common.files import sha256_of_file
from focal_common.provenance import content_hash, package_versions, source_hash

_LARGE_BYTES = 256 << 20
_SHA256_DIGITS = 64
_SHORT_HASH = 12


@dataclass(frozen=True)
class AskedPart:
    """What one task, or one sub-task of a group, asked.

    Attributes:
        method: With the parameters in force for its data set.
        new_tokens: Most tokens of an answer.
        ends: Texts that end an answer.
        questions: See `questions_hash`.
    """

    method: CompressionMethod
    new_tokens: int
    ends: tuple[str, ...]
    questions: str


def resolved_parameters(method: CompressionMethod) -> dict[str, Any]:
    """Return every hyper-parameter in force, published, fitted or given, as JSON values."""
    return {name: list(one) if isinstance(one, tuple) else one for name, one in asdict(method).items()}


def questions_hash(asked: Iterable[tuple[Any, str, str]]) -> str:
    """Return the hash of questions in their order.

    Args:
        asked: SHA-256 of the pixels, or JSON values that stand for them; text; right answer.
    """
    return content_hash([list(one) for one in asked])


def configuration_hash(
    *,
    checkpoint: dict[str, Any],
    dtype: str,
    precision: str,
    device: str,
    attention: str,
    parts: Iterable[AskedPart],
) -> str:
    """Return the hash of everything that decides the answers.

    Args:
        checkpoint: See `checkpoint_digest`.
        dtype: Number format of the model.
        precision: Precision of its linear layers, ``float`` or ``int8``.
        device: torch device.
        attention: Implementation.
        parts: What was asked, in order.
    """
    asked = [
        {
            "method": one.method.name,
            "parameters": resolved_parameters(one.method),
            "new_tokens": one.new_tokens,
            "ends": list(one.ends),
            "questions": one.questions,
        }
        for one in parts
    ]
    arithmetic = {"dtype": dtype, "precision": precision, "device": device, "attention": attention}
    return content_hash({"checkpoint": checkpoint, "arithmetic": arithmetic, "asked": asked})


def checkpoint_digest(model: str, size: str, seed: int, loaded: str = "") -> dict[str, Any]:
    """Return what identifies the weights.

    Args:
        model: Shipped model, family, folder or Hub name.
        size: Size of random weights.
        seed: Seed of random weights.
        loaded: `LoadedModel.checkpoint`, where the model is loaded: it holds the commit of a Hub name.

    Returns:
        Family, size and seed of random weights; Hub name with commit; or the SHA-256 of each file of a folder or
        shipped model, of which files above 256 MiB count with their size alone.
    """
    folder = Path(model_location(model))
    if not folder.is_dir():
        return {"name": model, "size": size, "seed": seed} if model in MODELS else {"name": loaded or model}
    digests = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in (".json", ".safetensors", ".model", ".txt", ".jinja"):
            length = path.stat().st_size
            digests[path.name] = f"{length} bytes" if length > _LARGE_BYTES else sha256_of_file(path)
    return digests


def checkpoint_label(loaded: str, digest: dict[str, Any]) -> str:
    """Return the weights as a table names them: ``random:0``, ``shapes_image@119e…``, ``folder@…``, ``name@commit``.

    Args:
        loaded: `LoadedModel.checkpoint`.
        digest: See `checkpoint_digest`.
    """
    if "@" in loaded or loaded.startswith("random:") or "name" in digest:
        return loaded
    weights = {name: value for name, value in digest.items() if name.endswith(".safetensors")}
    values = list(weights.values())
    # The hash of a single file is that of a shipped model too: a copy is known by it.
    is_hash = len(values) == 1 and len(values[0]) == _SHA256_DIGITS
    known = values[0] if is_hash else content_hash(weights or digest)
    return f"{loaded}@{known[:_SHORT_HASH]}"


_INSENSITIVE = frozenset({"output", "threads", "videos", "images"})
_SLICES, _SLICE_BYTES = 64, 1 << 16


def settings_in_force(settings: RunSettings) -> dict[str, Any]:
    """Return the settings of a run that decide its results, as JSON values; files count by their names."""
    found = {name: value for name, value in settings.to_json().items() if name not in _INSENSITIVE}
    return found | {"files": [path.name for path in (*settings.videos, *settings.images)]}


def run_identity(settings: RunSettings) -> dict[str, Any]:
    """Return everything that decides the results of a run: what samples traced apart must agree on to be of one.

    Of weight files above 256 MiB, 64 slices of 64 KiB and the length are hashed: other weights differ in all of them;
    a flipped bit in one of them goes unseen.

    Raises:
        ConfigError: A Hub name with a revision that is not in the cache and must not be downloaded.
    """
    place, pinned_name = pinned(settings.model, settings.revision, settings.is_offline)
    return {
        "settings": settings_in_force(settings),
        "weights": pinned_name or _weights(place, settings),
        "inputs": [_input(path) for path in (*settings.videos, *settings.images)],
        **code_identity(),
    }


def code_identity() -> dict[str, Any]:
    """Return the code and the versions that decide what a model gives."""
    code = ("focal_algorithm", "focal_traces", "focal_common")
    return {
        "code": {name: source_hash(name)[:16] for name in code},
        "versions": package_versions("focal-vlm", "torch", "transformers", "numpy", "pillow", "av"),
    }


def _weights(model: str, settings: RunSettings) -> dict[str, Any]:
    found = checkpoint_digest(model, settings.size, settings.seed)
    folder = Path(model_location(model))
    return {
        name: _slices_hash(folder / name) if str(value).endswith(" bytes") else value
        for name, value in found.items()
    }


def _slices_hash(path: Path) -> str:
    length = path.stat().st_size
    digest = hashlib.sha256(str(length).encode())
    with path.open("rb") as source:
        for place in range(_SLICES):
            source.seek(place * (length - _SLICE_BYTES) // (_SLICES - 1))
            digest.update(source.read(_SLICE_BYTES))
    return digest.hexdigest()


def _input(path: Path) -> list[str]:
    beside = path.with_suffix(".question.txt")
    try:
        return [sha256_of_file(path), sha256_of_file(beside) if beside.is_file() else ""]
    except OSError:
        return []  # whoever reads it says what is wrong
