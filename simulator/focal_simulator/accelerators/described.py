"""Accelerators that a hardware file alone describes: its own name, a base, and what differs from it."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from focal_common.errors import ConfigError, near_matches
from focal_common.places import plain_name
from focal_common.reading.yaml_files import read_yaml
from focal_simulator.accelerators import ACCELERATORS, PLAIN_ARRAYS
from focal_simulator.accelerators.base import Accelerator

ENDINGS = (".yaml", ".yml")


def is_described(name: str) -> bool:
    """Return whether the name of an accelerator is the path of a file that describes one."""
    return name.endswith(ENDINGS)


def lowering(base: Any, where: str) -> type[Accelerator[Any]]:
    """Return the class of a base.

    Raises:
        ConfigError: There is no such base; the nearest are named.
    """
    for family in (PLAIN_ARRAYS, ACCELERATORS):
        if base in family:
            found: type[Accelerator[Any]] = family.load(base)
            return found
    choices = near_matches(str(base), [*PLAIN_ARRAYS, *ACCELERATORS])
    raise ConfigError(
        f"{where}: field 'base' is {base!r}, expected what the accelerator starts from; {choices}"
    )


def read_description(path: Path) -> tuple[dict[str, Any], type[Accelerator[Any]]]:
    """Return what a file says, unchecked but for its name, and the class of its base.

    Raises:
        ConfigError: No such file, no name of its own, or no such base.
    """
    given, where = read_yaml(path), str(path)
    name = given.get("accelerator")
    if not isinstance(name, str):
        raise ConfigError(
            f"{where}: field 'accelerator' is {name!r}, expected a name of its own, such as {path.stem}"
        )
    plain_name(name, f"{where}: field 'accelerator'")
    if name in ACCELERATORS or name in PLAIN_ARRAYS:
        raise ConfigError(
            f"{where}: field 'accelerator' is '{name}', which Focal has already; expected a name of its own, "
            f"such as {path.stem}, and 'base: {name}' (or give the file as the hardware of {name})"
        )
    return given, lowering(given.get("base"), where)


def merged(
    start: Mapping[str, Any], given: Mapping[str, Any], path: Path, prefix: str = ""
) -> dict[str, Any]:
    """Return a hardware mapping with the fields of a file put in; unknown ones are left to the check.

    A bare number in place of ``{value, unit, source}`` keeps the unit of the base; so does a mapping without a unit.

    Args:
        start: Of the base.
        given: Of the file.
        path: The file, for messages and sources.
        prefix: Dotted place of the mapping.

    Raises:
        ConfigError: Something else stands where a number is expected.
    """
    found = dict(copy.deepcopy(dict(start)))
    for key, value in given.items():
        before, field = found.get(key), f"{prefix}{key}"
        if isinstance(before, dict) and "value" in before:
            found[key] = _quantity(before, value, path, field)
        elif isinstance(before, dict) and isinstance(value, dict):
            found[key] = merged(before, value, path, f"{field}.")
        else:
            found[key] = value
    return found


def _quantity(before: Mapping[str, Any], value: Any, path: Path, field: str) -> Any:
    """Return a number of the file with the unit of the base where it names none."""
    number = value.get("value") if isinstance(value, dict) else value
    is_number = isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number)
    if not is_number:
        unit = "" if before["unit"] == "1" else f" in {before['unit']}"
        raise ConfigError(
            f"{path}: field '{field}' is {number!r}, expected a finite number{unit}, such as {before['value']!r}"
        )
    if isinstance(value, dict):
        return {"unit": before["unit"]} | value
    return {
        "value": value,
        "unit": before["unit"],
        "source": f"{path.name} (was: {before['value']!r}, {before.get('source', 'unsourced')})",
    }
