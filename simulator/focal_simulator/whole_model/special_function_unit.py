"""The special-function unit as a checked value, and how an accelerator's hardware file describes one."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt

from focal_common.config import StrictModel, validated
from focal_common.errors import ConfigError, near_matches
from focal_common.provenance import Origin
from focal_simulator.specs import HardwareSpec, Quantity
from focal_simulator.whole_model.vector_work import ELEMENTARY, Elementary

__all__ = ["Lanes", "SpecialFunctionUnit", "special_function_unit"]


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

    def lanes_of(self, operation: Elementary) -> Lanes:
        """Return the lanes of an operation; raises `ConfigError` if the unit has none."""
        if operation not in self.lanes:
            raise ConfigError(
                f"special-function unit: field 'lanes' has no '{operation}', expected {ELEMENTARY}"
            )
        return self.lanes[operation]


_COMPONENTS: dict[Elementary, str] = {
    "add": "fp16_add",
    "mul": "fp16_mul",
    "max": "fp16_add",
    "exp": "fp16_exp",
    "sqrt": "fp16_sqrt",
    "reciprocal": "fp16_reciprocal",
}
"""Component of a hardware file that does an operation; no file lists comparators, so the adders compare."""

_LATENCY_CYCLES = 16  # assumed: depth of a pipeline of exp, add and multiply; under 0.1 % of any layer


def special_function_unit(
    hardware: HardwareSpec, port_elements: int | None = None, latency_cycles: int = _LATENCY_CYCLES
) -> SpecialFunctionUnit:
    """Return the special-function unit that a hardware file describes by its ``fp16_*`` components.

    A lane does one operation per cycle; the energy of an operation is the power of a lane over the clock, which
    overstates it where the synthesis power includes leakage. Whoever charges these energies must not charge the
    power of the components for the whole run as well.

    Args:
        hardware: Of any accelerator.
        port_elements: Elements per cycle between unit and buffer; two operands and a result per multiplier if None.
        latency_cycles: From the first operand to the first result.

    Raises:
        ConfigError: The hardware file has no such component.
    """
    lanes: dict[str, Any] = {}
    for operation, name in _COMPONENTS.items():
        if name not in hardware.components:
            raise ConfigError(
                f"{hardware.accelerator}: field 'components' has no '{name}' for the special-function unit; "
                f"{near_matches(name, hardware.components)}"
            )
        component = hardware.components[name]
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
    port = 3 * hardware.components["fp16_mul"].count.value if port_elements is None else port_elements
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
