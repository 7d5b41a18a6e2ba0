"""What identifies a measured accuracy: weights, method as it was resolved, arithmetic, and the questions.

``focal eval`` and ``focal trace`` ask here, so that one run has one hash whichever of them made it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.models import MODELS, model_location
from focal_common.files import sha256_of_file
from focal_common.provenance import content_hash

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
