"""From a finished training to a checkpoint folder that transformers reads, and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL.Image import Resampling

from focal_algorithm.models.weights import MANIFEST, check_weights, shipped_model
from focal_algorithm.training.architecture import IMAGE, IMAGE_SIZE_PIXELS, VIDEO, word_tokenizer
from focal_algorithm.training.checkpoint import CHECKPOINT, LOG, read_checkpoint
from focal_algorithm.training.recipe import PIXEL_SCALES, Recipe
from focal_common.errors import ConfigError
from focal_common.files import atomic_write_text, sha256_of_file
from focal_common.reading.json_files import read_json
from focal_common.reading.model_folders import check_model_folder, foreign_sentences

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
    write_processor(recipe, folder)
    atomic_write_text(folder / "training_log.csv", (run / LOG).read_text(encoding="utf-8"))
    return {"seed": saved["seed"], "steps": saved["step"], "wall_time_s": round(saved["seconds"])}


def write_processor(recipe: Recipe, folder: Path) -> None:
    """Write what transformers' ``AutoProcessor`` and its pipelines read of a model: sizes, and the prompt it knows.

    Focal itself reads the scale of pixels alone, to check it. Stock ids equal those of Focal's processor, and stock
    pixels equal its own to rounding.

    Args:
        recipe: What was trained.
        folder: Of the model, with its ``config.json``.
    """
    mean, deviation = PIXEL_SCALES[recipe.name]
    side = IMAGE_SIZE_PIXELS[recipe.name]
    square = {"height": side, "width": side}
    pixels: dict[str, Any] = {
        "do_convert_rgb": True,
        "do_resize": True,
        "resample": Resampling.BICUBIC.value,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(mean),
        "image_std": list(deviation),
    }
    settings = read_json(folder / "config.json")
    patch, chosen = settings["vision_config"]["patch_size"], settings["vision_feature_select_strategy"]
    shared = {"image_token": IMAGE, "vision_feature_select_strategy": chosen}
    if recipe.name == "image":
        cut = {"size": {"shortest_edge": side}, "do_center_crop": True, "crop_size": square}
        files = {
            "preprocessor_config": {"image_processor_type": "CLIPImageProcessor"} | pixels | cut,
            "processor_config": {"processor_class": "LlavaProcessor"}
            | shared
            # CLS, which "default" takes away again.
            | {"patch_size": patch, "num_additional_image_tokens": 1},
        }
    else:
        tiles = {"do_pad": True, "image_grid_pinpoints": settings["image_grid_pinpoints"]}
        kinds = {name: f"LlavaOnevision{name}" for name in ("ImageProcessor", "VideoProcessor", "Processor")}
        files = {
            "preprocessor_config": {"image_processor_type": kinds["ImageProcessor"]} | pixels | tiles,
            "video_preprocessor_config": {"video_processor_type": kinds["VideoProcessor"]} | pixels,
            "processor_config": {"processor_class": kinds["Processor"], "video_token": VIDEO}
            | shared
            | {"num_image_tokens": (side // patch) ** 2}
            | {"vision_aspect_ratio": settings["vision_aspect_ratio"]},
        }
        files["preprocessor_config"]["size"] = files["video_preprocessor_config"]["size"] = square
    for name, content in files.items():
        atomic_write_text(folder / f"{name}.json", json.dumps(content, indent=1) + "\n")
    atomic_write_text(folder / "chat_template.jinja", _chat_template(recipe.template))


def _chat_template(template: tuple[str, str]) -> str:
    """Return the prompt of a model as a template of transformers: one user message, pictures before the question."""
    before, after = template
    opening, closing = after.split("{question}")
    return f"""\
{{%- if messages | length != 1 or messages[0].role != "user" -%}}
{{{{ raise_exception("this model knows one question a prompt; expected a single message, of the user") }}}}
{{%- endif -%}}
{{%- set content = messages[0].content -%}}
{{{{ {json.dumps(before)} }}}}
{{%- if content is not string -%}}
{{%- for part in content if part.type in ("image", "video") -%}}<{{{{ part.type }}}}>{{%- endfor -%}}
{{%- endif -%}}
{{{{ {json.dumps(opening)} }}}}
{{%- if content is string -%}}{{{{ content }}}}
{{%- else -%}}
{{%- for part in content if part.type == "text" -%}}{{{{ part.text }}}}{{%- endfor -%}}
{{%- endif -%}}
{{{{ {json.dumps(closing)} }}}}
"""


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
    facts = read_json(where / MANIFEST)
    found = read_json(where / "config.json").get("architectures")
    if found != [classes[name].__name__]:
        raise ConfigError(f"{where}/config.json: architectures is {found}, expected {classes[name].__name__}")
    check_model_folder(where)
    with foreign_sentences(str(where), "a trained model"):
        model = classes[name].from_pretrained(where, local_files_only=True).eval()
        return model, AutoTokenizer.from_pretrained(where, local_files_only=True), facts
