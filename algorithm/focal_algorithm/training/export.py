"""From a finished training to a checkpoint folder that transformers reads, and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from focal_algorithm.models.weights import MANIFEST, check_weights, shipped_model
from focal_algorithm.training.architecture import IMAGE_SIZE_PIXELS, word_tokenizer
from focal_algorithm.training.checkpoint import CHECKPOINT, LOG, read_checkpoint
from focal_algorithm.training.recipe import PIXEL_SCALES, Recipe
from focal_common.errors import ConfigError
from focal_common.files import atomic_write_text, sha256_of_file

__all__ = ["export_model", "read_trained", "write_manifest"]


_UNHASHED = ("README.md", MANIFEST)


def export_model(recipe: Recipe, run: Path, folder: Path) -> dict[str, Any]:
    """Write weights (safetensors, fp32), configuration, tokenizer and preprocessing of a finished run.

    Args:
        recipe: What was trained.
        run: Folder with the checkpoint and the log.
        folder: To write into.

    Returns:
        Facts of the training: seed, steps, wall time.

    Raises:
        ConfigError: The run is not finished.
    """
    path = run / CHECKPOINT
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; train first")
    saved = read_checkpoint(path)
    if saved["step"] < saved["steps"]:
        raise ConfigError(
            f"{path}: stopped at step {saved['step']} of {saved['steps']}; train to the end first"
        )
    model = recipe.build(len(recipe.words))
    model.load_state_dict(saved["model"])
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    word_tokenizer(recipe.words).save_pretrained(folder)
    mean, deviation = PIXEL_SCALES[recipe.name]
    size = IMAGE_SIZE_PIXELS[recipe.name]
    preprocessing = {
        "do_rescale": True,
        "do_normalize": True,
        "image_mean": list(mean),
        "image_std": list(deviation),
        "size": {"height": size, "width": size},
    }
    atomic_write_text(folder / "preprocessor_config.json", json.dumps(preprocessing, indent=1) + "\n")
    atomic_write_text(folder / "training_log.csv", (run / LOG).read_text(encoding="utf-8"))
    return {"seed": saved["seed"], "steps": saved["step"], "wall_time_s": round(saved["seconds"])}


def write_manifest(folder: Path, facts: dict[str, Any]) -> None:
    """Write the hashes of all files of a model beside them."""
    hashes = {
        path.name: sha256_of_file(path)
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name not in _UNHASHED
    }
    text = json.dumps(facts | {"sha256": hashes}, indent=1, sort_keys=True) + "\n"
    atomic_write_text(folder / MANIFEST, text)


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
