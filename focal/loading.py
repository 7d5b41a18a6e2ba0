"""Models by name with their processor, and what is known of a model that a user brings along."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from transformers import BatchFeature

from focal.environment import require_runnable
from focal.inputs import media_of
from focal_algorithm.checkpoints import quantization
from focal_algorithm.checkpoints.loading import LoadedModel, adapter_of_type, checkpoint_name
from focal_algorithm.models import MODELS, random_size
from focal_algorithm.models.base import ModelAdapter
from focal_algorithm.models.weights import SHIPPED
from focal_algorithm.prompts.media.tokens import Tokenizer
from focal_algorithm.tracing.prompting import build_prompt
from focal_algorithm.tracing.runner import prepare
from focal_algorithm.tracing.settings import RunSettings
from focal_common.errors import ConfigError, near_matches

__all__ = ["NOWHERE", "Processor", "family_of", "load_model", "loaded_model", "seed_of"]


NOWHERE = Path("in memory")
"""Output of runs that write nothing."""


@dataclass(frozen=True)
class _Known:
    """What `load_model` knows of a model beyond the model itself; holds no reference to it."""

    adapter: ModelAdapter
    tokenizer: Tokenizer
    checkpoint: str
    shipped: str
    quantization: str
    seed: int


_KNOWN: WeakKeyDictionary[nn.Module, _Known] = WeakKeyDictionary()


class Processor:
    """Turns pictures and a question into the inputs of a model's forward, with Pillow and torch alone.

    Called like a stock processor, with one image or one video per prompt. Needs no torchvision.

    Attributes:
        tokenizer: Text to token ids and back.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        self.tokenizer = loaded.tokenizer

    def __call__(self, text: str, images: Any = None, videos: Any = None) -> BatchFeature:
        """Return the inputs of one prompt, ready for ``model.generate(**inputs)``.

        Args:
            text: The question, without any template: the one of the family is put around it.
            images: A PIL image, a path, or an array with axes (rows, columns, RGB) of uint8.
            videos: A path, a list of frames, or an array with axes (frames, rows, columns, RGB) of uint8.

        Returns:
            ``input_ids`` and ``attention_mask``, axes (1, tokens), int64, and the pixels as the family takes them.

        Raises:
            ConfigError: Not exactly one image or video, or a file that cannot be read.
            UnsupportedError: The family does not take what it is given.

        Warns:
            UserWarning: What a reader must know of a file, such as that damaged packets were skipped.
        """
        sample = media_of(images, videos)
        for note in sample.notes:
            warnings.warn(note, stacklevel=2)
        return BatchFeature(build_prompt(self._loaded, sample, text).inputs)

    def decode(self, token_ids: Any) -> str:
        """Return the text of token ids, a tensor or list with axes (tokens), without special tokens."""
        found = token_ids.tolist() if torch.is_tensor(token_ids) else list(token_ids)
        return self.tokenizer.decode(found)

    def batch_decode(self, token_ids: Any) -> list[str]:
        """Return the text of each row of token ids, axes (batch, tokens)."""
        return [self.decode(row) for row in token_ids]


def load_model(
    name: str | Path,
    *,
    size: str | None = None,
    seed: int = 0,
    dtype: str = "fp32",
    precision: str = "float",
    device: str = "cpu",
    device_map: str | Mapping[str, str | int] | None = None,
    quantize: str | None = None,
    attention: str = "sdpa",
    is_offline: bool = True,
    trust_remote_code: bool = False,
) -> tuple[Any, Processor]:
    """Load a model and its processor.

    Args:
        name: A trained model that ships with Focal, a family with seeded random weights (see `focal.models`), a
            checkpoint folder, or a Hub name.
        size: Of a random model: ``small``, if None, or ``tiny``.
        seed: Of random weights.
        dtype: ``fp32``, ``bf16`` (or ``bfloat16``), or ``fp16`` (not on a CPU).
        precision: Of linear layers: ``float``, ``int8`` or ``nf4``.
        device: torch device.
        device_map: In place of ``device``: ``auto``, ``balanced`` or ``sequential``, or a device for each module, to
            spread a checkpoint over several devices, the host (``cpu``) and files (``disk``), by accelerate.
        quantize: In place of ``precision``: ``8bit`` or ``4bit``.
        attention: ``sdpa``, ``eager`` or ``flash_attention_2``.
        is_offline: Whether only local files may be used; False lets a Hub name be downloaded.
        trust_remote_code: Whether Python code that a checkpoint brings along may run.

    Returns:
        A stock transformers model in evaluation mode, and what prepares its inputs.

    Raises:
        ConfigError: An unknown name (with near matches), or files that cannot be read.
        UnsupportedError: What cannot work here, with the reason.
    """
    if not isinstance(name, str | Path):
        raise ConfigError(
            f"model: expected a name or a folder, got {name!r}; {near_matches(name, [*SHIPPED, *MODELS])}"
        )
    name = str(name)
    if device_map is not None:
        device = device_map if isinstance(device_map, str) else json.dumps(dict(device_map))
    require_runnable()
    settings = RunSettings(
        output=NOWHERE,
        model=name,
        size=random_size(name, size),
        seed=seed,
        dtype=dtype,
        precision=quantize or precision,
        device=device,
        attention=attention,
        is_offline=is_offline,
        trust_remote_code=trust_remote_code,
    )
    loaded = prepare(settings)
    _KNOWN[loaded.model] = _Known(
        loaded.adapter, loaded.tokenizer, loaded.checkpoint, loaded.shipped, loaded.quantization, seed
    )
    return loaded.model, Processor(loaded)


def family_of(model: Any) -> ModelAdapter:
    """Return the adapter of a loaded model, found by ``model.config.model_type``.

    Raises:
        ConfigError: It is no transformers model.
        UnsupportedError: It is of no known family; the sentence lists them.
    """
    if isinstance(model, nn.Module) and model in _KNOWN:
        return _KNOWN[model].adapter
    kind = getattr(getattr(model, "config", None), "model_type", None)
    if not isinstance(model, nn.Module) or not isinstance(kind, str):
        raise ConfigError(
            f"expected a transformers model with a config.model_type, got {type(model).__name__}; give the model "
            "itself, such as pipeline.model"
        )
    return adapter_of_type(kind, type(model).__name__)()


def loaded_model(model: Any) -> LoadedModel:
    """Return a model with what the trace of its prefills says of it; see `family_of` for errors."""
    adapter = family_of(model)
    known = _KNOWN.get(model)
    if known is not None:
        return LoadedModel(
            model, adapter, known.tokenizer, known.checkpoint, known.shipped, known.quantization
        )
    name = str(getattr(model.config, "_name_or_path", "") or "")
    checkpoint = checkpoint_name(name, model) if name else "made in Python"
    done = quantization.quantize(model, "float", "")  # what a library did while the user loaded it
    return LoadedModel(model, adapter, adapter.random_tokenizer(), checkpoint, quantization=done)


def seed_of(model: Any) -> int | None:
    """Return the seed of a model from `load_model`; None for others."""
    known = _KNOWN.get(model)
    return None if known is None else known.seed
