"""From a name and overrides to a method with checked hyper-parameters."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from importlib.resources import as_file, files
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from traceback import extract_tb
from typing import Any

from focal_algorithm.methods import METHODS
from focal_algorithm.methods.base import CompressionMethod, hook_points
from focal_algorithm.methods.budgeted import with_budget
from focal_common.errors import ConfigError, near_matches
from focal_common.reading.csv_files import read_csv
from focal_common.reading.values import real_number
from focal_traces.header.schema import DecoderGeometry
from focal_traces.tables.table import Key

_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a word",
    tuple: "a list",
}


def as_method(given: str | CompressionMethod) -> CompressionMethod:
    """Return a method given by its name, with its defaults, or as it is.

    Raises:
        ConfigError: It is neither, such as the class of a method.
    """
    if isinstance(given, str):
        return build_method(given, {})
    if not isinstance(given, CompressionMethod):
        shown = f"the class {given.__name__}" if isinstance(given, type) else repr(given)
        raise ConfigError(
            f"method: expected a name or a method such as focal.method('focus'), got {shown}; "
            f"Valid: {', '.join(METHODS)}"
        )
    return given


@cache
def method_of_file(path: Path) -> CompressionMethod:
    """Run a Python file and return the method that it defines, with its defaults.

    Raises:
        ConfigError: There is no such file, it cannot be run, or it defines no method, several, or one with the name of
            a method that there is.
    """
    if not path.is_file():
        raise ConfigError(
            f"method '{path}': no such file; expected a Python file with one CompressionMethod, or a name"
        )
    specification = spec_from_file_location(f"focal_method_{path.stem}", path)
    assert specification is not None  # noqa: S101 - the name ends in .py
    assert specification.loader is not None  # noqa: S101
    module = module_from_spec(specification)
    sys.modules[module.__name__] = module  # where dataclasses look their annotations up
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        lines = [
            str(one.lineno)
            for one in extract_tb(error.__traceback__)
            if Path(one.filename).resolve() == path.resolve()
        ]
        where = f", line {lines[-1]}" if lines else ""
        raise ConfigError(f"{path}{where}: cannot be run: {type(error).__name__}: {error}") from error
    own = [
        one for one in vars(module).values() if isinstance(one, type) and one.__module__ == module.__name__
    ]
    found = [one for one in own if issubclass(one, CompressionMethod)]
    if len(found) != 1:
        raise ConfigError(
            f"{path}: expected one subclass of CompressionMethod or TokenSelector, found "
            f"{', '.join(one.__name__ for one in found) or 'none'}"
        )
    if found[0].name in METHODS:
        raise ConfigError(
            f"{path}: there is a method '{found[0].name}' already; give its name, or rename {found[0].__name__}"
        )
    return as_method(found[0]())


def build_method(name: str, parameters: Mapping[str, Any]) -> CompressionMethod:
    """Construct a method.

    Args:
        name: Registry name.
        parameters: Hyper-parameters by field name; the rest keep their defaults. ``tokens`` or ``share`` states a
            budget, see `with_budget`.

    Raises:
        ConfigError: Unknown method or field (with near matches), or a value out of range.
    """
    chosen, parameters = METHODS.load(name), with_budget(name, parameters)
    names = {field.name: field for field in fields(chosen)}
    values: dict[str, Any] = {}
    for field, value in parameters.items():
        if field not in names:
            raise ConfigError(f"method '{name}' has no parameter '{field}'; {near_matches(field, names)}")
        values[field] = _checked(name, field, names[field].default, value)
    return chosen(**values)


def fitted_parameters(
    method: CompressionMethod | type[CompressionMethod], geometry: DecoderGeometry, own: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the fitted defaults that hold where nothing is published; own parameters go over them.

    Args:
        method: Its study gives what is fitted.
        geometry: Decoder shape.
        own: Hyper-parameters that a user, a suite or a search set.
    """
    settled = method.study.budget_fields if method.study.budget_fields & own.keys() else frozenset[str]()
    return {name: value for name, value in method.study.fitted(geometry).items() if name not in settled}


def method_in_force(
    name: str, own: Mapping[str, Any], family: str, geometry: DecoderGeometry, dataset: str
) -> tuple[CompressionMethod, dict[str, Any] | None]:
    """Return a method as it runs on a model: published parameters of a data set, else fitted ones, own over them.

    Args:
        name: Registry name.
        own: Hyper-parameters that a user, a suite or a search set.
        family: Family of the model.
        geometry: Decoder shape.
        dataset: Name under which parameters may be published.

    Returns:
        The method, and what was fitted in place of published parameters; None where nothing had to be.
    """
    default, own = build_method(name, {}), with_budget(name, own)
    published = default.study.published(family, dataset)
    fitted = None if published or not hook_points(default) else fitted_parameters(default, geometry, own)
    return build_method(name, {**published, **(fitted or {}), **own}), fitted


@cache
def published_thresholds(file: str, columns: tuple[str, ...]) -> dict[Key, tuple[float, ...]]:
    """Return published thresholds of a method for each (model, dataset) pair, from a table beside the methods.

    Args:
        file: Name in ``focal_algorithm/methods``.
        columns: Columns of thresholds, in the order returned.
    """
    with as_file(files("focal_algorithm.methods") / file) as path:
        _, rows = read_csv(path, ("model", "dataset", *columns))
    return {(row["model"], row["dataset"]): tuple(real_number(row[name]) for name in columns) for row in rows}


def _checked(name: str, field: str, default: Any, value: Any) -> Any:
    if isinstance(value, list):
        value = tuple(value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if isinstance(default, (bool, int, float, str, tuple)) and type(value) is not type(default):
        kind = _KINDS[type(default)]
        raise ConfigError(
            f"method '{name}': parameter '{field}' must be {kind} such as {default!r}, got {value!r:.200}"
        )
    entries = value if isinstance(value, tuple) else (value,)
    numbers = [one for one in entries if isinstance(one, (int, float)) and not isinstance(one, bool)]
    is_list = isinstance(value, tuple)
    if is_list and len(numbers) != len(entries) and not all(isinstance(one, str) for one in entries):
        raise ConfigError(
            f"method '{name}': parameter '{field}' must be a list of numbers or of words, got {list(value)!r:.200}"
        )
    if not all(math.isfinite(one) for one in numbers):
        raise ConfigError(f"method '{name}': parameter '{field}' is {value!r:.200}, expected finite numbers")
    if is_list and default and len({type(one) is str for one in (*default, *entries)}) > 1:
        raise ConfigError(
            f"method '{name}': parameter '{field}' must be a list such as {list(default)}, got {list(value)!r:.200}"
        )
    return value
