"""Area and power of the core logic as its array, widths, formats and clock make them; see docs/hardware_prices.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from math import fsum
from operator import attrgetter
from typing import Any

from pydantic import PositiveFloat

from focal_common.config import StrictModel, validated
from focal_common.errors import ConfigError, near_matches
from focal_common.reading.yaml_files import parse_yaml
from focal_simulator.hardware.specs import (
    FORMAT_BITS,
    BufferSpec,
    Component,
    HardwareSpec,
    Precision,
    Quantity,
)

_MOST_REMEMBERED = 4_096


class Operation(StrictModel):
    """What one multiplication or addition takes."""

    energy_pj: PositiveFloat
    area_um2: PositiveFloat


class ArithmeticTable(StrictModel):
    """Operations by number format, and where they were published."""

    energy_source: str
    area_source: str
    multiply: dict[str, Operation]
    add: dict[str, Operation]


@lru_cache(maxsize=1)
def arithmetic_table() -> ArithmeticTable:
    """Return the packaged table."""
    text = files("focal_simulator.costs").joinpath("arithmetic.yaml").read_text(encoding="utf-8")
    return validated(ArithmeticTable, parse_yaml(text, "arithmetic.yaml"), "arithmetic.yaml")


def priced_components(hardware: HardwareSpec) -> tuple[Component, ...]:
    """Return the components of a file with the area and power that its other fields make of them.

    Area and power are proportional to what a component follows; those of other formats than it was synthesised for are
    scaled by published operations; the dynamic part of the power goes with the clock. At the values stated in the file
    nothing changes, to the bit. A component that follows a switch which is off is left out.

    Args:
        hardware: The checked file.

    Raises:
        ConfigError: A component follows no field of the file, or nothing published says what a format costs.
    """
    parts = hardware.components
    # Checked components are frozen and shared by the designs of a study, so their identity is the key; the entry keeps
    # them alive, and with them their identity.
    key = tuple(map(id, parts.values()))
    known = _PLANS.get(key)
    if known is None:
        known = _remember(_PLANS, key, (tuple(parts.values()), _Plan(hardware)))
    return known[1].priced(hardware)


def scale(hardware: HardwareSpec, follows: Mapping[str, float], owner: str) -> float:
    """Return the product of the ratios of fields to the values at which something holds.

    Raises:
        ConfigError: ``owner`` follows no field of the file.
    """
    factor = 1.0
    for field, at in follows.items():
        factor *= _reader(hardware, field, owner)(hardware) / at
    return factor


def word_ratio(hardware: HardwareSpec, buffer: BufferSpec) -> float:
    """Return the bits of the operand that a buffer holds over those that it is stated for; 1 where it names none."""
    formats = buffer.formats
    return sum(map(hardware.precision.bits, formats)) / _bits(formats) if formats else 1.0


class _Plan:
    """What the components of a file depend on, and what they were for values met before."""

    def __init__(self, hardware: HardwareSpec) -> None:
        fields = dict.fromkeys(
            (field, f"components.{name}")
            for name, part in hardware.components.items()
            for field in part.follows
        )
        self._readers = [_reader(hardware, field, owner) for field, owner in fields]
        self._known: dict[tuple[Any, ...], tuple[Component, ...]] = {}

    def priced(self, hardware: HardwareSpec) -> tuple[Component, ...]:
        values = tuple(reader(hardware) for reader in self._readers)
        key = (values, hardware.precision, hardware.power_at_clock)
        found = self._known.get(key)
        if found is None:
            found = _remember(self._known, key, tuple(_all_priced(hardware)))
        return found


_PLANS: dict[tuple[int, ...], tuple[Sequence[Component], _Plan]] = {}


def _remember(table: dict[Any, Any], key: Any, value: Any) -> Any:
    if len(table) >= _MOST_REMEMBERED:
        table.clear()
    table[key] = value
    return value


def _reader(hardware: HardwareSpec, field: str, owner: str) -> Callable[[HardwareSpec], float]:
    """Return what reads the number of a dotted field: a quantity, a switch as 0 or 1, a format as its bits."""
    read = attrgetter(field)
    try:
        node = read(hardware)
    except AttributeError:
        node = None
    if isinstance(node, Quantity):
        return attrgetter(f"{field}.value")
    if isinstance(node, bool):
        return lambda one: float(read(one))
    if isinstance(node, str) and node in FORMAT_BITS:
        return lambda one: FORMAT_BITS[read(one)]
    names = _numbers_of(hardware)
    raise ConfigError(
        f"{hardware.accelerator}: {owner}.follows names '{field}', which is no number, switch or format of the file; "
        f"{near_matches(field, names)}"
    )


def _numbers_of(node: Any, prefix: str = "") -> list[str]:
    names = []
    for name in type(node).model_fields:
        one = getattr(node, name)
        if isinstance(one, Quantity | bool) or (isinstance(one, str) and one in FORMAT_BITS):
            names.append(f"{prefix}{name}")
        elif isinstance(one, StrictModel):
            names += _numbers_of(one, f"{prefix}{name}.")
    return names


def _all_priced(hardware: HardwareSpec) -> list[Component]:
    found = []
    for name, part in hardware.components.items():
        factor = scale(hardware, part.follows, f"components.{name}")
        if factor == 0.0:
            continue
        area, power = (factor * one for one in _format_ratios(part, hardware, name))
        power *= hardware.power_at_clock
        if (area, power) != (1.0, 1.0):
            part = part.model_copy(
                update={
                    "area": part.area.model_copy(update={"value": part.area.value * area}),
                    "power": part.power.model_copy(update={"value": part.power.value * power}),
                }
            )
        found.append(part)
    return found


def _format_ratios(part: Component, hardware: HardwareSpec, name: str) -> tuple[float, float]:
    """Return area and power over those at the formats that a component was synthesised for."""
    precision = hardware.precision
    then, now = part.formats, {operand: getattr(precision, operand) for operand in part.formats}
    if then == now:
        return 1.0, 1.0
    before, after = (_operations(one, hardware.accelerator, name, precision) for one in (then, now))
    bits = _bits(now) / _bits(then)
    ratios = []
    for share, kind in ((part.register_area, "area_um2"), (part.register_power, "energy_pj")):
        registers = share.value if share is not None else 0.0
        work = fsum(getattr(one, kind) for one in after) / fsum(getattr(one, kind) for one in before)
        ratios.append(registers * bits + (1 - registers) * work)
    return ratios[0], ratios[1]


def _bits(formats: Mapping[str, str]) -> int:
    return sum(FORMAT_BITS[one] for one in formats.values())


def _operations(
    formats: Mapping[str, str], accelerator: str, name: str, precision: Precision
) -> list[Operation]:
    """Return the multiplication and the additions of a component.

    Raises:
        ConfigError: Nothing published says what one costs.
    """
    table, found = arithmetic_table(), []
    factors = [formats[operand] for operand in ("weights", "activations") if operand in formats]
    if factors:
        if len(set(factors)) > 1 or factors[0] not in table.multiply:
            raise ConfigError(
                f"{accelerator}: precision asks component '{name}' to multiply {' by '.join(dict.fromkeys(factors))}, "
                f"for which no energy and area were published; expected weights and activations of one format, "
                f"{_one_of(table.multiply)}, or a component with formats "
                f"{{weights: {precision.weights}, activations: {precision.activations}}} and its own area and power"
            )
        found.append(table.multiply[factors[0]])
    for operand in ("partial_sums", "accumulators"):
        one = formats.get(operand)
        if one is not None and one not in table.add:
            raise ConfigError(
                f"{accelerator}: precision.{operand} is {one}, for whose addition in component '{name}' no energy and "
                f"area were published; expected {_one_of(table.add)}, or a component with formats {{{operand}: {one}}} "
                "and its own area and power"
            )
        if one is not None:
            found.append(table.add[one])
    return found


def _one_of(names: Mapping[str, Any]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}"
