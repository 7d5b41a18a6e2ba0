"""Packaged shapes of published models; every number in their files has its source beside it."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Any

from focal_common.config import packaged_names, packaged_yaml, validated
from focal_common.errors import ConfigError
from focal_traces.model_shape.model_shape import ModelShape

_FLATTENED = ("head", "prompt")


def shape_names() -> tuple[str, ...]:
    """Return the names of all presets, sorted."""
    return packaged_names(files("focal_simulator.whole_model") / "shapes")


@lru_cache(maxsize=16)
def shape_preset(name: str) -> ModelShape:
    """Return a preset; raises `ConfigError` for an unknown name or a number without a source."""
    tree = packaged_yaml(files("focal_simulator.whole_model") / "shapes", name, "unknown model shape")
    where = f"{name}.yaml"
    values: dict[str, Any] = {"family": tree["family"]}
    for section in ("vision", "projector", "decoder", *_FLATTENED):
        fields = {field: _leaf(leaf, f"{section}.{field}", where) for field, leaf in tree[section].items()}
        values |= fields if section in _FLATTENED else {section: fields}
    return validated(ModelShape, values, where)


def _leaf(leaf: Any, field: str, where: str) -> Any:
    if not isinstance(leaf, dict) or set(leaf) != {"value", "source"} or not leaf["source"]:
        raise ConfigError(f"{where}: field '{field}' must be {{value: ..., source: ...}}, got {leaf!r:.60}")
    return leaf["value"]
