"""Cycles of vector operators on a special-function unit.

The unit has a number of lanes for each elementary operation; lanes of different operations work at the same time
as a pipeline, so the busiest of them, or the port of the buffer that feeds them, sets the pace.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from focal_common.errors import ConfigError, near_matches
from focal_simulator.hardware.specs import HardwareSpec
from focal_simulator.whole_model.operator import ELEMENTARY, VECTOR_WORK, Elementary, Operator
from focal_simulator.workload.arithmetic import ceil_div

_LATENCY_CYCLES = 16  # assumed: depth of a pipeline of exp, add and multiply; under 0.1 % of any layer
_OPERANDS_PER_MULTIPLIER = 3  # assumed: two operands and one result


@dataclass(frozen=True, slots=True)
class VectorLanes:
    """What sets the pace of a special-function unit; comparisons take cycles of the adders.

    Attributes:
        per_cycle: Operations per cycle by elementary operation, in the order of `ELEMENTARY`.
        port_elements: Elements per cycle between the unit and the buffer that holds its operands.
        latency_cycles: From the first operand to the first result; paid once per operator and step.
    """

    per_cycle: tuple[int, ...]
    port_elements: int
    latency_cycles: int

    def of(self, operation: Elementary) -> int:
        """Return the operations per cycle."""
        return self.per_cycle[ELEMENTARY.index(operation)]


def vector_lanes(hardware: HardwareSpec) -> VectorLanes:
    """Return the unit that ``special_functions`` of a hardware class describes; a lane does one operation per cycle.

    Raises:
        ConfigError: No component does an operation.
    """
    counts = {name: _lanes(hardware, name) for name in ELEMENTARY}
    return VectorLanes(tuple(counts.values()), _OPERANDS_PER_MULTIPLIER * counts["mul"], _LATENCY_CYCLES)


def _lanes(hardware: HardwareSpec, operation: Elementary) -> int:
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
    return hardware.components[name].count.value


@dataclass(frozen=True, slots=True)
class VectorTime:
    """How long a vector operator keeps the unit busy, over all its steps.

    Attributes:
        cycles: ``count`` / ``lanes``, rounded up, and the latency.
        bound: What sets the pace: an elementary operation, or ``port``.
        count: Such operations, or elements that pass the port.
        lanes: How many of them the unit does in a cycle.
        latency_cycles: Of all steps.
    """

    cycles: int
    bound: str
    count: int
    lanes: int
    latency_cycles: int

    def words(self, name: str) -> str:
        """Return the arithmetic of an operator called ``name``."""
        return f"{name}: {self.count:,} {self.bound} / {self.lanes} + {self.latency_cycles}"


def vector_cycles(operator: Operator, lanes: VectorLanes, *, is_mask_skipped: bool = False) -> VectorTime:
    """Return the time of a vector operator over all its steps.

    Args:
        operator: Of kind ``vector``.
        lanes: Of the unit.
        is_mask_skipped: Nothing is computed for scores that a causal mask hides.

    Raises:
        ConfigError: The operator is no vector operation.
    """
    if operator.vector is None:
        raise ConfigError(f"{operator.label}: expected a vector operation, got kind '{operator.kind}'")
    elements = operator.causal_elements if is_mask_skipped else operator.total_elements
    counts = operator.elementary(is_mask_skipped)
    # Comparisons share the adders.
    counts["add"] += counts.pop("max")
    work: dict[str, tuple[int, int]] = {
        name: (count, lanes.of(name)) for name, count in counts.items() if count
    }
    moved = elements * (operator.operands + VECTOR_WORK[operator.vector].passes - 1) + elements
    work["port"] = (moved, lanes.port_elements)
    # Ties go to the first elementary operation, in their fixed order.
    bound = max(work, key=lambda name: ceil_div(*work[name]))
    latency = lanes.latency_cycles * operator.steps if elements else 0
    return VectorTime(ceil_div(*work[bound]) + latency, bound, *work[bound], latency)


def vector_sum(times: Iterable[tuple[str, VectorTime]]) -> tuple[int, str]:
    """Return the cycles of named operators one after the other, and their arithmetic in words."""
    found = list(times)
    return sum(time.cycles for _, time in found), "; ".join(time.words(name) for name, time in found)
