"""Cycles, energy and memory traffic of vector operators on a special-function unit.

The unit has a number of lanes for each elementary operation; lanes of different operations work at the same time
as a pipeline, so the busiest of them, or the port of the buffer that feeds them, sets the pace.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from focal_common.errors import ConfigError
from focal_simulator.arithmetic import ceil_div
from focal_simulator.whole_model.operator import Operator
from focal_simulator.whole_model.special_function_unit import SpecialFunctionUnit, VectorLanes
from focal_simulator.whole_model.vector_work import VECTOR_WORK, Elementary

__all__ = ["VectorTiming", "vector_cycles", "vector_timing"]


@dataclass(frozen=True, slots=True)
class VectorTiming:
    """Cost of one operator over all its steps.

    Attributes:
        cycles: From first operand to last result, memory not counted.
        bound: Elementary operation that is busiest, or ``port``.
        energy_pj: Of the lanes; buffers and memory are not in it.
        operations: Elementary operations.
        dram_read_bytes: Operands that do not fit on chip.
        dram_write_bytes: Results that do not fit on chip.
    """

    cycles: int
    bound: str
    energy_pj: float
    operations: int
    dram_read_bytes: int
    dram_write_bytes: int


def vector_timing(
    operator: Operator,
    unit: SpecialFunctionUnit,
    buffer_bytes: int,
    element_bytes: int = 2,
    *,
    is_streamed: bool = False,
    is_mask_skipped: bool = False,
) -> VectorTiming:
    """Return the cost of a vector operator.

    Args:
        operator: Of kind ``vector``.
        unit: The hardware.
        buffer_bytes: On-chip room for operands and results.
        element_bytes: Width of an element.
        is_streamed: Operands come tile by tile from the array and results go on to it: no memory traffic.
        is_mask_skipped: Nothing is computed for scores that a causal mask hides.

    Returns:
        With memory traffic by this rule: nothing if all operands and results of a step fit into the buffer;
        else one read and one write if a row fits; else one read per pass and one write.

    Raises:
        ConfigError: The operator is no vector operation, the unit lacks a lane, or a size is not positive.
    """
    if buffer_bytes < 1 or element_bytes < 1:
        raise ConfigError(
            f"buffer_bytes and element_bytes must be at least 1, got {buffer_bytes}, {element_bytes}"
        )
    cycles, bound = vector_cycles(operator, unit.pace, is_mask_skipped=is_mask_skipped)
    elements, counts = _work(operator, is_mask_skipped)
    reads, writes = (
        (0, 0) if is_streamed else _dram_elements(operator, elements, buffer_bytes // element_bytes)
    )
    return VectorTiming(
        cycles=cycles,
        bound=bound,
        energy_pj=math.fsum(number * unit.lanes[name].energy.value for name, number in counts.items()),
        operations=sum(counts.values()),
        dram_read_bytes=reads * element_bytes,
        dram_write_bytes=writes * element_bytes,
    )


def vector_cycles(
    operator: Operator, lanes: VectorLanes, *, is_mask_skipped: bool = False
) -> tuple[int, str]:
    """Return the cycles of a vector operator and what bounds them; raises as `vector_timing`.

    Args:
        operator: Of kind ``vector``.
        lanes: Of the unit.
        is_mask_skipped: Nothing is computed for scores that a causal mask hides.
    """
    if operator.vector is None:
        raise ConfigError(f"{operator.label}: expected a vector operation, got kind '{operator.kind}'")
    elements, counts = _work(operator, is_mask_skipped)
    busy: dict[str, int] = {name: ceil_div(number, lanes.of(name)) for name, number in counts.items()}
    if lanes.is_max_on_adders and "max" in counts:
        shared = counts["max"] + counts.get("add", 0)
        busy["add"] = ceil_div(shared, lanes.of("add"))
        del busy["max"]
    moved = elements * (operator.operands + VECTOR_WORK[operator.vector].passes - 1) + elements
    busy["port"] = ceil_div(moved, lanes.port_elements)
    # Ties go to the first elementary operation, in their fixed order.
    bound = max(busy, key=lambda name: busy[name])
    return busy[bound] + (lanes.latency_cycles * operator.steps if elements else 0), bound


def _work(operator: Operator, is_mask_skipped: bool) -> tuple[int, dict[Elementary, int]]:
    """Return the elements of an operator, and its elementary operations that occur."""
    elements = operator.causal_elements if is_mask_skipped else operator.total_elements
    return elements, {name: number for name, number in operator.elementary(is_mask_skipped).items() if number}


def _dram_elements(operator: Operator, elements: int, room_elements: int) -> tuple[int, int]:
    """Return elements read from and written to memory over all steps."""
    last = operator.at_step(operator.steps - 1)
    if (operator.operands + 1) * last.elements <= room_elements:
        return 0, 0
    row = last.elements // max(last.rows, 1)
    passes = (
        1 if (operator.operands + 1) * row <= room_elements else VECTOR_WORK[operator.vector or "copy"].passes
    )
    return elements * (operator.operands + passes - 1), elements
