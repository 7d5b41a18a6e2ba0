"""Sums a layer table into one result row: time, operations, bytes and energy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from focal_simulator.accelerators.base import Accelerator
from focal_simulator.arithmetic import exact_sum, sequential_sum
from focal_simulator.buffer_costs import BufferCost, SramChoice, buffer_costs
from focal_simulator.layer_table import LayerTable, Traffic
from focal_simulator.workload import Workload

__all__ = ["RunResult", "core_power_mw", "simulate", "summed"]

_MJ_PER_PJ = 1e-9


@dataclass(frozen=True)
class RunResult:
    """Totals of one workload on one accelerator.

    Attributes:
        total_cycles: Compute and stall cycles.
        compute_cycles: Cycles of the array.
        stall_cycles: Cycles added by the units beside it.
        macs: Multiply-accumulates executed.
        dense_macs: Multiply-accumulates without compression.
        activation_bytes: Layer inputs kept, in bytes.
        compression_ratio: Mean of rows before over after vector compression; None without such compression.
        dram_bytes: Reads and writes.
        moved_bytes: Bytes by (level, direction, buffer).
        seconds: Execution time.
        dram_mj: DRAM energy.
        sram_mj: Buffer energy.
        core_mj: Energy of the core logic.
        total_mj: Sum of the three.
    """

    total_cycles: int | float
    compute_cycles: int | float
    stall_cycles: int | float
    macs: int | float
    dense_macs: int | float
    activation_bytes: int | float
    compression_ratio: float | None
    dram_bytes: int | float
    moved_bytes: Mapping[Traffic, int | float]
    seconds: float
    dram_mj: float
    sram_mj: float
    core_mj: float
    total_mj: float


def core_power_mw(accelerator: Accelerator[Any]) -> float:
    """Return the power of the core logic."""
    return math.fsum(part.power.value * part.count.value for part in accelerator.components())


def summed(table: LayerTable) -> dict[str, int | float]:
    """Return the sums over blocks and layers of every array of a table, with repeats."""
    names = ("compute_cycles", "stall_cycles", "macs", "dense_macs", "activation_bytes")
    return {name: _tidy(sequential_sum(getattr(table, name)) * table.repeats) for name in names}


def simulate(
    accelerator: Accelerator[Any],
    workload: Workload,
    sram: SramChoice = "auto",
    costs: tuple[BufferCost, ...] | None = None,
) -> RunResult:
    """Run one workload in parity mode.

    Args:
        accelerator: Plug-in with its hardware.
        workload: What to run.
        sram: Buffer cost model.
        costs: Buffer costs, if already known.

    Raises:
        UnsupportedError: The accelerator does not accept the workload.
    """
    accelerator.accepts(workload)
    known = costs if costs is not None else buffer_costs(accelerator, sram)
    return charged(accelerator, table_sums(accelerator.layers(workload)), known)


@dataclass(frozen=True, slots=True)
class TableSums:
    """What a layer table sums to.

    Attributes:
        totals: See `summed`.
        moved: Bytes by (level, direction, buffer).
        compression_ratio: Mean over what was computed; None without such compression.
    """

    totals: Mapping[str, int | float]
    moved: Mapping[Traffic, int | float]
    compression_ratio: float | None


def table_sums(table: LayerTable) -> TableSums:
    """Return the sums of a table."""
    moved = {key: _tidy(sequential_sum(value) * table.repeats) for key, value in table.moved_bytes.items()}
    return TableSums(summed(table), moved, _mean_ratio(table))


def charged(accelerator: Accelerator[Any], sums: TableSums, costs: tuple[BufferCost, ...]) -> RunResult:
    """Return the result of a run: its sums with time and energy.

    Args:
        accelerator: For clock and powers.
        sums: Of its layer table.
        costs: Of its buffers.
    """
    total, moved = sums.totals, sums.moved
    dram = _tidy(exact_sum(value for (level, _, _), value in moved.items() if level == "dram"))
    cycles = _tidy(total["compute_cycles"] + total["stall_cycles"])
    seconds = cycles / accelerator.hardware.clock.value
    dram_mj = dram * (accelerator.hardware.dram_energy.value * _MJ_PER_PJ)
    core_mj = core_power_mw(accelerator) * seconds
    sram_mj = _sram_mj(costs, moved, seconds)
    return RunResult(
        total_cycles=cycles,
        compute_cycles=total["compute_cycles"],
        stall_cycles=total["stall_cycles"],
        macs=total["macs"],
        dense_macs=total["dense_macs"],
        activation_bytes=total["activation_bytes"],
        compression_ratio=sums.compression_ratio,
        dram_bytes=dram,
        moved_bytes=moved,
        seconds=seconds,
        dram_mj=dram_mj,
        sram_mj=sram_mj,
        core_mj=core_mj,
        total_mj=dram_mj + sram_mj + core_mj,
    )


def _sram_mj(costs: tuple[BufferCost, ...], moved: Mapping[Traffic, int | float], seconds: float) -> float:
    static = math.fsum(cost.static_mw for cost in costs) * seconds
    dynamic_pj = 0.0
    for cost in costs:
        dynamic_pj += moved.get(("sram", "read", cost.name), 0) * cost.read_pj_per_byte
        dynamic_pj += moved.get(("sram", "write", cost.name), 0) * cost.write_pj_per_byte
    return static + dynamic_pj * _MJ_PER_PJ


def _mean_ratio(table: LayerTable) -> float | None:
    if table.compression_ratios is None:
        return None
    recorded = table.compression_ratios[~np.isnan(table.compression_ratios)]
    return float(recorded.mean()) if recorded.size else 1.0


def _tidy(value: int | float) -> int | float:
    """Return a whole-valued real as an integer, so that files show 94 and not 94.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
