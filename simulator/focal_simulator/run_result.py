"""What one workload costs on one accelerator, whichever level of modelling found it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from focal_simulator.layer_table import Traffic

__all__ = ["RunResult"]


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
