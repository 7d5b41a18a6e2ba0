"""Strict configuration: YAML files and dotted overrides become frozen, checked values.

YAML is data only: no anchors to code, no templates, no includes. A field that does not exist is an error with
the nearest valid name.
"""

from __future__ import annotations

import copy
from importlib.resources.abc import Traversable
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from focal_common.errors import ConfigError, near_matches
from focal_common.reading.yaml_files import parse_yaml

_OWN_SENTENCE = "value_error"
"""What pydantic calls an error that a validator of ours has raised."""

_OF_A_KEY = "[key]"
"""What pydantic puts behind a key of a mapping that is itself at fault."""

M = TypeVar("M", bound="StrictModel")


class StrictModel(BaseModel):
    """Base of everything read from a file: frozen, unknown fields and non-finite numbers refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def packaged_names(folder: Traversable) -> tuple[str, ...]:
    """Return the names of the YAML files in a folder of a package, sorted."""
    names = (item.name for item in folder.iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def packaged_yaml(folder: Traversable, name: str, unknown: str, where: str | None = None) -> dict[str, Any]:
    """Return the mapping of a YAML file in a folder of a package.

    Args:
        folder: Of the package.
        name: Of the file, without its ending.
        unknown: Start of the sentence where there is none, such as ``unknown GPU``.
        where: What messages call the file; its name if None.

    Raises:
        ConfigError: No such file, with the nearest.
    """
    names = packaged_names(folder)
    if name not in names:
        raise ConfigError(f"{unknown} '{name}'; {near_matches(name, names)}")
    text = folder.joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return parse_yaml(text, where or f"{name}.yaml")


def apply_overrides(tree: dict[str, Any], overrides: list[str], where: str) -> dict[str, Any]:
    """Return a copy of ``tree`` with ``dotted.field=value`` overrides applied.

    Args:
        tree: Nested mapping as read from YAML.
        overrides: Such as ``["core.array_columns=64"]``; the value is read as YAML.
        where: Name of the preset for messages.

    Raises:
        ConfigError: Not of the form ``field=value``, or the field does not exist in ``tree``.
    """
    result = copy.deepcopy(tree)
    for override in overrides:
        field, equals, text = override.partition("=")
        if not equals or not field.strip():
            raise ConfigError(f"'{override}': expected field=value, such as core.array_columns=64")
        node: Any = result
        parts = field.strip().split(".")
        for depth, part in enumerate(parts):
            if not isinstance(node, dict) or part not in node:
                names = list(node) if isinstance(node, dict) else []
                prefix = ".".join(parts[:depth])
                place = f"{where}: field '{prefix}'" if prefix else where
                raise ConfigError(f"{place} has no field '{part}'; {near_matches(part, map(str, names))}")
            if depth == len(parts) - 1:
                node[part] = parse_yaml(f"value: {text}", f"override {field}")["value"]
            else:
                node = node[part]
    return result


def validated(model: type[M], tree: Any, where: str, within: str = "") -> M:
    """Check ``tree`` against ``model`` and return the frozen value.

    Args:
        model: What it should be.
        tree: As read.
        where: File name for messages.
        within: Dotted field of the file that the tree is; empty for all of it.

    Raises:
        ConfigError: One sentence naming file, field, value and what was expected.
    """
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        # A mistyped field also leaves the right one missing; the typo is what the user can mend.
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        location = first["loc"][:-2] if first["loc"][-1:] == (_OF_A_KEY,) else first["loc"]
        field = ".".join([*([within] if within else []), *map(str, location)]) or "(top level)"
        if first["type"] == "extra_forbidden":
            siblings = _siblings(model, first["loc"])
            raise ConfigError(
                f"{where}: unknown field '{field}'; {near_matches(str(first['loc'][-1]), siblings)}"
            ) from error
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        if first["type"] == _OWN_SENTENCE:
            # Our own validators say what was given; the rest would be a dump of all that stands around it.
            place = f"{where}: field '{field}'" if first["loc"] or within else where
            raise ConfigError(f"{place}: {first['msg'].removeprefix('Value error, ')}{more}") from error
        given = "" if first["type"] == "missing" else f", got {first['input']!r:.80}"
        raise ConfigError(f"{where}: field '{field}': {first['msg']}{given}{more}") from error


def _siblings(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    current: Any = model
    for part in location[:-1]:
        if isinstance(current, type) and issubclass(current, BaseModel) and str(part) in current.model_fields:
            current = current.model_fields[str(part)].annotation
        # Entries of a tuple, a list or a mapping, and optional fields: the model inside.
        current = _model_inside(current)
    return list(current.model_fields) if current is not None else []


def _model_inside(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for one in get_args(annotation) if (found := _model_inside(one))), None)
