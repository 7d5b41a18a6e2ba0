"""From the name of a family, a folder or a Hub name to a model with its adapter and tokenizer."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from focal_algorithm.checkpoints.hub import pinned
from focal_algorithm.checkpoints.places import Place
from focal_algorithm.checkpoints.quantization import quantize, stock_quantization
from focal_algorithm.models import FOREIGN_TYPES, MODELS, check_model_name, model_location
from focal_algorithm.models.arithmetic import DTYPES
from focal_algorithm.models.base import ModelAdapter
from focal_algorithm.models.sizes import keep_tokens_apart
from focal_algorithm.models.weights import SHIPPED, weights_digest
from focal_algorithm.prompts.media.tokens import Tokenizer, checkpoint_tokenizer
from focal_algorithm.transformers_versions import require_known_version
from focal_common.errors import ConfigError, UnsupportedError, near_matches
from focal_common.reading.json_files import read_json
from focal_common.reading.model_folders import check_model_folder, foreign_sentences
from focal_traces.header.schema import DecoderGeometry


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to run.

    Attributes:
        model: In evaluation mode.
        adapter: Its family.
        tokenizer: Its tokenizer.
        checkpoint: As the trace header calls it.
        shipped: Name of a shipped model; empty for others.
        quantization: Arithmetic of its linear layers; empty for its own.
    """

    model: Any
    adapter: ModelAdapter
    tokenizer: Tokenizer
    checkpoint: str
    shipped: str = ""
    quantization: str = ""

    @property
    def name(self) -> str:
        """Name under which results are filed: of the shipped model, else of the family."""
        return self.shipped or self.adapter.family

    @property
    def geometry(self) -> DecoderGeometry:
        """Shape of the decoder."""
        return self.adapter.points(self.model).geometry


def load_model(
    name: str,
    *,
    size: str,
    seed: int,
    dtype: str,
    attention: str,
    device: str,
    is_offline: bool,
    trust_remote_code: bool = False,
    revision: str = "",
    precision: str = "float",
) -> LoadedModel:
    """Build a family with seeded random weights, or load a checkpoint; quantise it if asked.

    Weights of a checkpoint are read from its files straight to where they compute, tensor by tensor.

    Args:
        name: A shipped model, a family in `MODELS`, a folder, or a Hub name with a slash.
        size: Size of a random model; ignored for checkpoints.
        seed: Seed of random weights.
        dtype: ``fp32``, ``bf16`` or ``fp16``.
        attention: One of `ATTENTIONS`.
        device: torch device, or how to spread a checkpoint over several, see `Place.read`.
        is_offline: Whether only local files may be used.
        trust_remote_code: Whether Python code that a checkpoint brings may run.
        revision: Revision of a Hub name; empty for its newest.
        precision: Precision of its linear layers, see `quantize`.

    Raises:
        ConfigError: Unknown name, dtype or precision, or files that cannot be read.
        UnsupportedError: A transformers outside the versions that were run, fp16 on a CPU, a family without
            adapter, code of a checkpoint without leave to run, or a library that is not there.
    """
    name, pinned_name = pinned(name, revision, is_offline)
    require_known_version()
    place = Place.read(device)
    _check_arithmetic(dtype, attention, place)
    if name in MODELS and place.device_map is not None:
        raise UnsupportedError(
            f"device {device}: only weights that are read from files can be spread, and {name} draws random ones; "
            "expected a torch device"
        )
    if name in MODELS:
        adapter = MODELS.load(name)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = random_model(adapter, size, attention)
        _cast(model, DTYPES[dtype])
        checkpoint, tokenizer = f"random:{seed}", adapter.random_tokenizer()
    else:
        adapter = find_adapter(name, is_offline, trust_remote_code)
        files = model_location(name)
        if precision != "float" and "quantization_config" in model_settings(name, is_offline):
            raise UnsupportedError(
                f"{name}: its weights are quantised already; expected precision float, which leaves them as they are"
            )
        device_map = place.device_map
        if device_map is None and place.kind != "cpu" and importlib.util.find_spec("accelerate"):
            device_map = {"": device}
        model = _from_files(
            adapter,
            files,
            dtype=DTYPES[dtype],
            attn_implementation=attention,
            local_files_only=is_offline,
            **({} if device_map is None else {"device_map": device_map}),
            **stock_quantization(precision, place.kind, DTYPES[dtype]),
        )
        checkpoint = checkpoint_name(name, model)
        tokenizer = checkpoint_tokenizer(
            files, is_offline, trust_remote_code and runs_checkpoint_code(adapter), adapter.random_tokenizer()
        )
    if place.device_map is None and not getattr(model, "is_quantized", False):
        model = model.to(device)
    shipped = name if name in SHIPPED else ""
    quantization = quantize(model.eval(), precision, place.kind)
    return LoadedModel(model, adapter(), tokenizer, pinned_name or checkpoint, shipped, quantization)


def _check_arithmetic(dtype: str, attention: str, place: Place) -> None:
    if dtype not in DTYPES:
        raise ConfigError(f"unknown dtype '{dtype}'; {near_matches(dtype, DTYPES)}")
    if dtype == "fp16" and place.kind == "cpu":
        raise UnsupportedError("fp16 on a CPU is hundreds of times slower than bf16; use dtype bf16 or fp32")
    if attention.startswith("flash"):
        from transformers.utils import is_flash_attn_2_available

        if not is_flash_attn_2_available():
            raise UnsupportedError(
                f"attention {attention} needs a CUDA device and the package flash-attn; expected sdpa or eager"
            )
        if dtype == "fp32":
            raise UnsupportedError(
                f"attention {attention} does not compute in fp32; expected dtype bf16 or fp16"
            )


def _cast(model: Any, dtype: torch.dtype) -> None:
    """Cast what a checkpoint would hold, as `from_pretrained` does: rotary frequencies keep their precision."""
    for value in model.state_dict(keep_vars=True).values():
        if value.is_floating_point():
            value.data = value.data.to(dtype)


def random_model(adapter: type[ModelAdapter], size: str, attention: str) -> Any:
    """Build a model of a named size with weights from torch's current random state.

    Raises:
        ConfigError: The size is unknown.
    """
    settings = adapter.random_settings(size)
    model = adapter.model_class(adapter.model_class.config_class(**settings, attn_implementation=attention))
    keep_tokens_apart(adapter.family, model)
    return model


def empty_model(adapter: type[ModelAdapter], architecture: Mapping[str, Any]) -> Any:
    """Build a model without weights, on torch's meta device, from the fields of its configuration."""
    with torch.device("meta"):
        return adapter.model_class(adapter.model_class.config_class(**architecture))


def runs_checkpoint_code(adapter: type[ModelAdapter]) -> bool:
    """Return whether checkpoints of a family bring their own Python code, which a user must allow."""
    return bool(getattr(adapter.model_class, "runs_checkpoint_code", False))


def find_adapter(name: str, is_offline: bool, trust_remote_code: bool = False) -> type[ModelAdapter]:
    """Return the adapter of a checkpoint without loading its weights or running its code.

    Args:
        name: A shipped model, a folder, or a Hub name with a slash.
        is_offline: Whether only local files may be used.
        trust_remote_code: Whether Python code that it brings may run later.

    Raises:
        ConfigError: Nothing there, or its configuration cannot be read.
        UnsupportedError: The sentence says what stands in the way.
    """
    check_model_name(name)
    name = model_location(name)
    adapter = adapter_of_type(model_settings(name, is_offline)["model_type"], name)
    if runs_checkpoint_code(adapter) and not trust_remote_code:
        raise UnsupportedError(
            f"{name}: a {adapter.family} checkpoint runs Python code that it brings along; read that code, then "
            "allow it with trust_remote_code"
        )
    _check_normalisation(adapter, name, is_offline)
    return adapter


def adapter_of_type(model_type: str, name: str) -> type[ModelAdapter]:
    """Return the adapter that serves a ``config.model_type``.

    Args:
        model_type: As the configuration of a checkpoint or of a loaded model says.
        name: What the sentence of a refusal calls the model.

    Raises:
        UnsupportedError: No family serves it; the sentence says what to do instead.
    """
    if model_type in FOREIGN_TYPES:
        raise UnsupportedError(f"{name}: {FOREIGN_TYPES[model_type]}")
    for family in MODELS:
        adapter = MODELS.load(family)
        if model_type == adapter.model_class.config_class.model_type:
            return adapter
    raise UnsupportedError(
        f"{name}: no adapter for model_type '{model_type}'; supported families: {', '.join(MODELS)}"
    )


def model_settings(name: str, is_offline: bool) -> dict[str, Any]:
    """Return ``config.json`` of a checkpoint as it is; raises `ConfigError` where it cannot be read.

    No class is asked: our own model types are not registered with transformers, and no code may run yet.
    """
    from transformers import PreTrainedConfig

    name = model_location(name)
    is_folder = Path(name).is_dir()
    where = f"{name}/config.json" if is_folder else name
    if is_folder:
        settings = read_json(Path(where))
    else:
        hint = "; it is not in the local cache, and only local files may be used" if is_offline else ""
        with foreign_sentences(where, f"a readable model configuration{hint}"):
            settings, _ = PreTrainedConfig.get_config_dict(name, local_files_only=is_offline)
    if not isinstance(settings.get("model_type"), str):
        raise ConfigError(f"{where}: no readable model configuration (it lacks model_type)")
    return settings


def _from_files(adapter: type[ModelAdapter], name: str, **settings: Any) -> Any:
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # it would mix with ours
    if Path(name).is_dir():
        check_model_folder(Path(name))
    # Cut short, empty, a pointer of Git LFS in place of the file, or tensors of other sizes.
    expected = "whole weights that fit config.json"
    if isinstance(settings.get("device_map"), dict):
        expected += ", and a device map that names every part"
    with foreign_sentences(name, expected):
        model = adapter.model_class.from_pretrained(name, **settings)
    for weight, values in model.named_parameters():
        # What is kept on the host or on disk is found when it is used: a prefill refuses NaN.
        if values.device.type != "meta" and not torch.isfinite(values).all():
            raise ConfigError(f"{name}: weight '{weight}' holds inf or NaN, expected finite numbers")
    return model


def _check_normalisation(adapter: type[ModelAdapter], name: str, is_offline: bool) -> None:
    """Refuse a checkpoint that was trained on pixels scaled otherwise than ours: its answers would be wrong."""
    from transformers.utils import cached_file

    found = cached_file(
        name,
        "preprocessor_config.json",
        local_files_only=is_offline,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    if found is None:
        return
    settings = read_json(Path(found))
    for field, expected in zip(("image_mean", "image_std"), adapter.pixel_scale, strict=True):
        values = settings.get(field)
        if values is not None and not _are_close(values, expected):
            raise UnsupportedError(
                f"{name}/preprocessor_config.json: {field} is {values}; expected {list(expected)}, as "
                f"{adapter.family} scales pixels"
            )


def _are_close(values: Any, expected: tuple[float, float, float]) -> bool:
    try:
        return bool(np.allclose(np.broadcast_to(values, 3).astype(float), expected, atol=1e-6))
    except (TypeError, ValueError):
        return False


def checkpoint_name(name: str, model: Any) -> str:
    """Return how a trace header calls the weights of a model that was loaded by name."""
    if name in SHIPPED:
        return f"{name}@{weights_digest(Path(model_location(name)))[:12]}"
    # Only the folder's name: a trace must not depend on where a user keeps checkpoints.
    revision = getattr(model.config, "_commit_hash", None)
    return Path(name).name if Path(name).is_dir() else f"{name}@{revision}" if revision else name
