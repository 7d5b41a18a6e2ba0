"""The special-function unit as a checked value, and how an accelerator's hardware file describes one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt

from focal_common.config import StrictModel, validated
from focal_common.errors import ConfigError, near_matches
from focal_common.provenance import Origin
from focal_simulator.hardware.specs import Component, HardwareSpec, Quantity
from focal_simulator.whole_model.vector_work import ELEMENTARY, Elementary

__all__ = ["Lanes", "SpecialFunctionUnit", "VectorLanes", "special_function_unit", "vector_lanes"]


class _EnergyPerOperation(Quantity):
    value: NonNegativeFloat
    unit: Literal["pJ"]


class _PerCycle(Quantity):
    value: PositiveInt
    unit: Literal["1/cycle"]


class Lanes(StrictModel):
    """Lanes for one elementary operation.

    Attributes:
        per_cycle: Operations per cycle, all lanes together.
        energy: Of one operation.
    """

    per_cycle: _PerCycle
    energy: _EnergyPerOperation


@dataclass(frozen=True, slots=True)
class VectorLanes:
    """What sets the pace of a special-function unit.

    Attributes:
        per_cycle: Operations per cycle by elementary operation, in the order of `ELEMENTARY`; 0 without lanes.
        port_elements: Elements per cycle between the unit and the buffer that holds its operands.
        latency_cycles: From the first operand to the first result.
        is_max_on_adders: Comparisons take cycles of the adders.
    """

    per_cycle: tuple[int, ...]
    port_elements: int
    latency_cycles: int
    is_max_on_adders: bool

    def of(self, operation: Elementary) -> int:
        """Return the operations per cycle; raises `ConfigError` if the unit has no lanes for it."""
        found = self.per_cycle[ELEMENTARY.index(operation)]
        if not found:
            raise ConfigError(
                f"special-function unit: field 'lanes' has no '{operation}', expected {ELEMENTARY}"
            )
        return found


class SpecialFunctionUnit(StrictModel):
    """Hardware for vector operators.

    Attributes:
        lanes: For each elementary operation.
        port_elements: Elements per cycle between the unit and the buffer that holds its operands.
        latency_cycles: From the first operand to the first result; paid once per operator and step.
        is_max_on_adders: Comparisons take cycles of the adders; if not, they have lanes of their own.
        origin: How the numbers came to be.
    """

    lanes: dict[Elementary, Lanes]
    port_elements: _PerCycle
    latency_cycles: int = Field(ge=0)
    is_max_on_adders: bool = True
    origin: Origin = "estimated"

    @property
    def pace(self) -> VectorLanes:
        """What sets its pace."""
        return VectorLanes(
            tuple(self.lanes[name].per_cycle.value if name in self.lanes else 0 for name in ELEMENTARY),
            self.port_elements.value,
            self.latency_cycles,
            self.is_max_on_adders,
        )


_LATENCY_CYCLES = 16  # assumed: depth of a pipeline of exp, add and multiply; under 0.1 % of any layer
_OPERANDS_PER_MULTIPLIER = 3  # assumed: two operands and one result


def vector_lanes(hardware: HardwareSpec) -> VectorLanes:
    """Return the pace of the unit that `special_function_unit` describes, without its energies; raises as it does."""
    counts = {name: _component(hardware, name).count.value for name in ELEMENTARY}
    return VectorLanes(
        tuple(counts.values()),
        _OPERANDS_PER_MULTIPLIER * counts["mul"],
        _LATENCY_CYCLES,
        is_max_on_adders=True,
    )


def _component(hardware: HardwareSpec, operation: Elementary) -> Component:
    name = hardware.special_functions.get(operation)
    if name is None:
        raise ConfigError(
            f"{hardware.accelerator}: special_functions of its hardware class names no component for '{operation}'; "
            f"expected one for each of {', '.join(ELEMENTARY)}"
        )
    if name not in hardware.components:
        raise ConfigError(
            f"{hardware.accelerator}: field 'components' has no '{name}' for the special-function unit; "
            f"{near_matches(name, hardware.components)}"
        )
    return hardware.components[name]


def special_function_unit(
    hardware: HardwareSpec, port_elements: int | None = None, latency_cycles: int = _LATENCY_CYCLES
) -> SpecialFunctionUnit:
    """Return the special-function unit that ``special_functions`` of a hardware class describes.

    A lane does one operation per cycle; the energy of an operation is the power of a lane over the clock, which
    overstates it where the synthesis power includes leakage. Whoever charges these energies must not charge the
    power of the components for the whole run as well.

    Args:
        hardware: Of any accelerator.
        port_elements: Elements per cycle between unit and buffer; two operands and a result per multiplier if None.
        latency_cycles: From the first operand to the first result.

    Raises:
        ConfigError: No component does an operation.
    """
    lanes: dict[str, Any] = {}
    for operation in ELEMENTARY:
        component = _component(hardware, operation)
        # mW / Hz is mJ per operation; 1e9 makes it pJ.
        energy_pj = component.power.value / hardware.clock.value * 1e9
        lanes[operation] = {
            "per_cycle": {
                "value": component.count.value,
                "unit": "1/cycle",
                "source": component.count.source,
            },
            "energy": {
                "value": energy_pj,
                "unit": "pJ",
                "source": f"estimated: power of one lane over the clock; {component.power.source}",
            },
        }
    multipliers = _component(hardware, "mul").count.value
    port = _OPERANDS_PER_MULTIPLIER * multipliers if port_elements is None else port_elements
    tree = {
        "lanes": lanes,
        "port_elements": {
            "value": port,
            "unit": "1/cycle",
            "source": "assumed: two operands and one result per multiplier"
            if port_elements is None
            else "given",
        },
        "latency_cycles": latency_cycles,
    }
    return validated(SpecialFunctionUnit, tree, f"special-function unit of {hardware.accelerator}")
