"""What of a matrix can be known without weights, data or network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from focal_algorithm.checkpoints.loading import empty_model, load_model, random_model
from focal_algorithm.checkpoints.quantization import PRECISIONS
from focal_algorithm.matrix.rows import MatrixRow
from focal_algorithm.matrix.schema import ModelSpec
from focal_algorithm.methods.build import build_method, fitted_parameters
from focal_algorithm.models import MODELS
from focal_algorithm.models.weights import SHIPPED
from focal_common.errors import ConfigError, FocalError, UnsupportedError, near_matches
from focal_traces.header.schema import DecoderGeometry

__all__ = ["CheckedRow", "check_rows"]


@dataclass(frozen=True)
class CheckedRow:
    """One row.

    Attributes:
        name: Of the row.
        problem: What would stop it; empty for nothing.
        parameters: Of the method, published ones included.
        billions: Parameters of the model, in 1e9; 0 where it was not built.
    """

    name: str
    problem: str
    parameters: dict[str, Any]
    billions: float


def check_rows(rows: list[MatrixRow]) -> list[CheckedRow]:
    """Build every model without weights and every method with its parameters, and resolve every task.

    Args:
        rows: See `focal_algorithm.matrix.rows.chosen_rows`.
    """
    built: dict[str, tuple[DecoderGeometry, float] | FocalError] = {}
    found = []
    for row in rows:
        if row.model_name not in built:
            try:
                built[row.model_name] = _build(row.model)
            except FocalError as error:
                built[row.model_name] = error
        found.append(_check(row, built[row.model_name]))
    return found


def _build(model: ModelSpec) -> tuple[DecoderGeometry, float]:
    import torch

    adapter = MODELS.load(model.family)
    if model.checkpoint in SHIPPED:  # small: it is loaded as it is
        empty = _shipped(model)
    elif not model.architecture:
        with torch.device("meta"):
            empty = random_model(adapter, model.size, "sdpa")
    else:
        try:
            empty = empty_model(adapter, model.architecture)
        except (TypeError, ValueError, AttributeError, KeyError, RuntimeError) as error:
            text = " ".join(str(error).split())[:200]
            raise ConfigError(f"architecture: {model.family} cannot be built from it ({text})") from error
    return adapter().points(empty).geometry, sum(one.numel() for one in empty.parameters()) / 1e9


def _shipped(model: ModelSpec) -> Any:
    common = {"size": "", "seed": 0, "dtype": "fp32", "attention": "sdpa", "device": "cpu"}
    return load_model(model.checkpoint, **common, is_offline=True).model  # type: ignore[arg-type]


def _check(row: MatrixRow, built: tuple[DecoderGeometry, float] | FocalError) -> CheckedRow:
    parameters: dict[str, Any] = {}
    try:
        if isinstance(built, FocalError):
            raise built
        geometry, billions = built
        if row.dataset.modality not in MODELS.load(row.model.family).modalities:
            raise UnsupportedError(f"{row.model.family} takes no {row.dataset.modality}s")
        if row.suite.precision not in PRECISIONS:
            raise ConfigError(f"precision: {near_matches(row.suite.precision, PRECISIONS)}")
        if (row.dataset.hub or row.suite.measure == "accuracy") and not row.dataset.task:
            raise ConfigError(f"dataset '{row.dataset_name}' has no 'task'; expected a name in lmms-eval")
        default = build_method(row.suite.method, {})
        own = row.suite.parameters | (row.variant.parameters if row.variant else {})
        parameters = default.study.published(row.model.family, row.dataset_name)
        parameters = (parameters or fitted_parameters(default, geometry, own)) | own
        method = build_method(row.suite.method, parameters)
        layers = [*getattr(method, "selected_layers", ()), *getattr(method, "pruning_layers", ())]
        if layers and max(layers) >= geometry.layers:
            raise ConfigError(f"layer {max(layers)} does not exist; expected layers below {geometry.layers}")
    except FocalError as error:
        return CheckedRow(row.name, str(error), parameters, 0.0)
    return CheckedRow(row.name, "", parameters, billions)
