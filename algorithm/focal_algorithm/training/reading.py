"""Reading a trained model back, shipped or the user's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from focal_algorithm.models.weights import MANIFEST, check_weights, shipped_model
from focal_common.errors import ConfigError

__all__ = ["read_trained"]


def read_trained(name: str, folder: Path | None) -> tuple[Any, Any, dict[str, Any]]:
    """Return model in evaluation mode, tokenizer, and the facts of its training.

    Args:
        name: ``video`` or ``image``.
        folder: With the files that training exported; the shipped ones if None.

    Raises:
        ConfigError: Files are missing, changed, or of the other model.
    """
    from transformers import (
        AutoTokenizer,
        LlavaForConditionalGeneration,
        LlavaOnevisionForConditionalGeneration,
    )

    classes = {"video": LlavaOnevisionForConditionalGeneration, "image": LlavaForConditionalGeneration}
    where = shipped_model(f"shapes_{name}") if folder is None else folder
    check_weights(where)
    facts = json.loads((where / MANIFEST).read_text(encoding="utf-8"))
    found = json.loads((where / "config.json").read_text(encoding="utf-8")).get("architectures")
    if found != [classes[name].__name__]:
        raise ConfigError(f"{where}/config.json: architectures is {found}, expected {classes[name].__name__}")
    model = classes[name].from_pretrained(where, local_files_only=True).eval()
    return model, AutoTokenizer.from_pretrained(where, local_files_only=True), facts
