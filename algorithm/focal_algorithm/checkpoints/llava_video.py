"""LLaVA-Video checkpoints as the original code saved them, rewritten for our class.

Names of tensors change and the configuration is translated; no value changes.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from focal_algorithm.models.architectures.llava_video import (
    LlavaVideoConfig,
    LlavaVideoForConditionalGeneration,
)
from focal_common.errors import ConfigError, RunError, UnsupportedError
from focal_common.places import scratch_folder
from focal_common.reading.json_files import read_json
from focal_common.reading.safetensors_files import load_safetensors, tensor_shapes
from focal_common.reading.torch_files import load_torch


def weight_files(folder: Path) -> list[Path]:
    """Return the weight files in order; safetensors are preferred to pickled ones."""
    for pattern in ("model*.safetensors", "pytorch_model*.bin"):
        found = sorted(folder.glob(pattern))
        if found:
            return found
    raise ConfigError(f"{folder}: holds no weights; expected model*.safetensors or pytorch_model*.bin")


def weight_names(path: Path) -> list[str]:
    """Return the names of the tensors of a weight file; raises `ConfigError` if it is broken."""
    return list(tensor_shapes(path) if path.suffix == ".safetensors" else read_weights(path))


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """Read one weight file without running anything in it; raises `ConfigError` if it is broken."""
    if path.suffix == ".safetensors":
        return load_safetensors(path)
    content = load_torch(path, ConfigError)
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ConfigError(f"{path}: not readable as weights: expected tensors by name")
    return content


def largest_token_id(folder: Path) -> int:
    """Return the largest id that a folder's tokenizer gives; -1 where it has none that we can read."""
    largest = -1
    if (folder / "tokenizer.json").is_file():
        path = folder / "tokenizer.json"
        content = read_json(path)
        try:
            added = {token["content"]: token["id"] for token in content.get("added_tokens", [])}
            vocabulary = content.get("model", {}).get("vocab", {})
        except (AttributeError, KeyError, TypeError) as error:
            raise ConfigError(f"{path}: expected a tokenizer, with 'model' and 'added_tokens'") from error
        largest = _largest([added, vocabulary if isinstance(vocabulary, dict) else {}], path, largest)
    for name in ("vocab.json", "added_tokens.json"):
        if (folder / name).is_file():
            largest = _largest([read_json(folder / name)], folder / name, largest)
    return largest


def _largest(vocabularies: list[dict[str, Any]], path: Path, largest: int) -> int:
    for vocabulary in vocabularies:
        for token, number in vocabulary.items():
            if type(number) is not int:
                raise ConfigError(
                    f"{path}: token {token!r:.40} has id {number!r:.40}, expected a whole number"
                )
            largest = max(largest, number)
    return largest


_RENAMED = (
    (r"^model\.vision_tower\.vision_tower\.vision_model\.", "model.vision_tower."),
    (r"^model\.mm_projector\.0\.", "model.multi_modal_projector.linear_1."),
    (r"^model\.mm_projector\.2\.", "model.multi_modal_projector.linear_2."),
    (r"^model\.(embed_tokens|layers|norm)\.", r"model.language_model.\1."),
)
_BUFFERS = re.compile(r"(rotary_emb\.inv_freq|embeddings\.position_ids)$")  # computed, not learned
_TEXT_FIELDS = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "vocab_size",
)
_OPTIONAL_TEXT_FIELDS = (
    "max_position_embeddings",
    "rms_norm_eps",
    "rope_theta",
    "hidden_act",
    "tie_word_embeddings",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
)
_TOWERS: dict[str, dict[str, Any]] = {
    # Source: google/siglip-so400m-patch14-384 config.json.
    "google/siglip-so400m-patch14-384": {
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_hidden_layers": 27,
        "num_attention_heads": 16,
        "image_size": 384,
        "patch_size": 14,
    }
}
_COPIED = ("tokenizer*", "vocab.json", "merges.txt", "special_tokens_map.json", "added_tokens.json")


def convert_llava_video(
    source: Path,
    target: Path,
    track: Callable[[Iterable[Any], int], Iterable[Any]] = lambda items, total: items,
) -> int:
    """Write a converted copy of a checkpoint; nothing is left behind if it fails.

    Args:
        source: Folder in the original layout.
        target: New folder.
        track: Wraps the loop over weight files to show progress, given their number.

    Returns:
        Number of tensors written.

    Raises:
        ConfigError: A file is missing or broken, a tensor is missing, unknown or of another shape, or the
            target exists.
        UnsupportedError: Another model, tower or projector.
    """
    if target.exists():
        raise ConfigError(f"{target}: exists already; give a new folder")
    settings = read_json(source / "config.json")
    files = weight_files(source)
    config = _config(source, settings, _tower_layers(files))
    with torch.device("meta"):
        expected = {
            name: tuple(value.shape)
            for name, value in LlavaVideoForConditionalGeneration(config).state_dict().items()
        }
    if config.text_config.tie_word_embeddings:
        expected.pop("lm_head.weight", None)
    try:
        with scratch_folder(target) as unfinished:
            config.save_pretrained(unfinished)
            _write_weights(files, unfinished, expected, track)
            for pattern in _COPIED:
                for path in source.glob(pattern):
                    shutil.copy2(path, unfinished / path.name)
            unfinished.rename(target)
    except OSError as error:
        raise RunError(f"{target}: could not be written ({error.strerror or error})") from error
    return len(expected)


def _write_weights(
    files: list[Path],
    folder: Path,
    expected: dict[str, tuple[int, ...]],
    track: Callable[[Iterable[Any], int], Iterable[Any]],
) -> None:
    where: dict[str, str] = {}
    total_bytes = 0
    for number, path in enumerate(track(files, len(files)), start=1):
        name = f"model-{number:05d}-of-{len(files):05d}.safetensors"
        renamed: dict[str, Tensor] = {}
        for original, value in read_weights(path).items():
            key = _renamed(original)
            if _BUFFERS.search(key) or (key == "lm_head.weight" and key not in expected):
                continue
            if key not in expected:
                raise ConfigError(f"{path}: unknown tensor '{original}'; it has no place in LLaVA-Video")
            if tuple(value.shape) != expected[key]:
                raise ConfigError(
                    f"{path}: '{original}' has shape {tuple(value.shape)}; expected {expected[key]}"
                )
            renamed[key] = value.contiguous()
            total_bytes += value.numel() * value.element_size()
        save_file(renamed, folder / name, metadata={"format": "pt"})
        where |= dict.fromkeys(renamed, name)
    missing = sorted(expected.keys() - where.keys())
    if missing:
        raise ConfigError(f"{files[0].parent}: {len(missing)} tensors are missing, such as '{missing[0]}'")
    index = {"metadata": {"total_size": total_bytes}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")


def _renamed(name: str) -> str:
    for pattern, replacement in _RENAMED:
        name, count = re.subn(pattern, replacement, name)
        if count:
            break
    return name


def _config(source: Path, settings: dict[str, Any], tower_layers: int) -> LlavaVideoConfig:
    where = source / "config.json"
    for field, expected in (("model_type", "llava_qwen"), ("mm_projector_type", "mlp2x_gelu")):
        if settings.get(field) != expected:
            raise UnsupportedError(f"{where}: {field} is {settings.get(field)!r}; expected '{expected}'")
    for field in ("rope_scaling", "use_sliding_window"):
        if settings.get(field):
            raise UnsupportedError(f"{where}: {field} is {settings[field]!r}; expected none, as published")
    missing = [field for field in _TEXT_FIELDS if field not in settings]
    if missing:
        raise ConfigError(f"{where}: {missing[0]} is missing; expected a number")
    text = {name: settings[name] for name in (*_TEXT_FIELDS, *_OPTIONAL_TEXT_FIELDS) if name in settings}
    # The original marks a video by an id outside its vocabulary. The embedding has padding rows at its end.
    video = int(settings["vocab_size"]) - 1
    if largest_token_id(source) >= video - 1:
        raise UnsupportedError(
            f"{where}: the tokenizer uses all {video + 1} ids; expected two free at the end"
        )
    return LlavaVideoConfig(
        vision_config=_tower(source, str(settings.get("mm_vision_tower")), tower_layers),
        text_config={"model_type": "qwen2", **text},
        image_token_index=video - 1,
        video_token_index=video,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=bool(settings.get("tie_word_embeddings", False)),
        dtype=settings.get("torch_dtype"),
        architectures=["LlavaVideoForConditionalGeneration"],
    )


def _tower(source: Path, name: str, layers: int) -> dict[str, Any]:
    settings = _TOWERS.get(name)
    if settings is None:
        if not (source / name / "config.json").is_file():
            raise UnsupportedError(
                f"{source / 'config.json'}: mm_vision_tower '{name}' is unknown; expected "
                f"{' or '.join(_TOWERS)} or a folder with its config.json"
            )
        content = read_json(source / name / "config.json")
        settings = content.get("vision_config", content)
    # The original drops the tower's last layer and reads what the one before it gives.
    return settings | {
        "model_type": "siglip_vision_model",
        "num_hidden_layers": layers,
        "vision_use_head": False,
    }


def _tower_layers(files: list[Path]) -> int:
    layers: set[int] = set()
    for path in files:
        for name in weight_names(path):
            found = re.search(r"vision_model\.encoder\.layers\.([0-9]{1,9})\.", name)
            if found:
                layers.add(int(found[1]))
    if not layers:
        raise ConfigError(
            f"{files[0].parent}: no tensor of a vision tower; expected the tower inside the checkpoint"
        )
    return max(layers) + 1
