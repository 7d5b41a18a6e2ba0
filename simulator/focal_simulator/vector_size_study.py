"""The one layer that the published vector-size sweep times (Focus, HPCA 2026, Figure 10(b))."""

from __future__ import annotations

from typing import Any

from focal_common.errors import TraceError, UnsupportedError
from focal_simulator.accelerators.base import Accelerator
from focal_simulator.accelerators.focus_buffers import FocusBufferHardware
from focal_simulator.accelerators.focus_bytes import detection_bytes
from focal_simulator.arithmetic import ceil_div, exact_sum, fold_cycles
from focal_simulator.buffer_costs import BufferCost, SramChoice, buffer_costs
from focal_simulator.energy import core_power_mw
from focal_simulator.run_result import RunResult
from focal_simulator.workload import Workload
from focal_traces.schema import GEMMS

__all__ = ["BLOCK", "LAYER", "simulate_layer"]

BLOCK, LAYER = 9, "o_proj"
"""What the published sweep times."""

_MJ_PER_PJ = 1e-9


def simulate_layer(
    accelerator: Accelerator[Any],
    workload: Workload,
    sram: SramChoice = "auto",
    costs: tuple[BufferCost, ...] | None = None,
) -> RunResult:
    """Run the one layer of the published vector-size sweep: fidelity ``parity_layer``.

    As published, gather is not charged, bytes are those of the similarity detection alone, and leakage is not
    added.

    Args:
        accelerator: One of the Focus family.
        workload: With counts recorded at the vector size in question.
        sram: Buffer cost model.
        costs: Buffer costs, if already known.

    Raises:
        UnsupportedError: The accelerator does not accept the workload, or has no similarity units.
        TraceError: The decoder has no such block.
    """
    accelerator.accepts(workload)
    counts, geometry, hardware = workload.counts, workload.geometry, accelerator.hardware
    if not isinstance(hardware, FocusBufferHardware) or not accelerator.uses_counts:
        raise UnsupportedError(
            f"{accelerator.preset}: fidelity parity_layer times vectors, which it has none of"
        )
    if counts is None or geometry.layers <= BLOCK:
        raise TraceError(
            f"{workload.label}: the vector-size sweep times block {BLOCK}, the decoder has {geometry.layers}"
        )
    rows, columns = hardware.core.array_rows.value, hardware.core.array_columns.value
    place = GEMMS.index(LAYER)
    tokens, unique = int(counts.tokens[BLOCK, place]), int(counts.unique[BLOCK, place])
    slices = int(counts.slices[BLOCK, place])
    live = int(counts.vectors[BLOCK, place]) // slices
    inputs, outputs = geometry.heads * geometry.head_dim_elements, geometry.hidden_elements

    computed = unique // slices
    passes = max(ceil_div(tokens, hardware.tiles.m_tile.value), 1)
    folds = ceil_div(outputs, columns) * ceil_div(inputs, rows)
    compute = fold_cycles(computed // passes, rows, columns) * passes * folds if computed else 0
    scatter = ceil_div(live * folds, hardware.core.scatter_vectors.value)
    stall = max(0, scatter - compute)
    seconds = (compute + stall) / hardware.clock.value

    moved = detection_bytes(tokens, ceil_div(unique, slices), outputs, hardware)  # type: ignore[arg-type]
    dram = exact_sum(value for (level, _, _), value in moved.items() if level == "dram")
    sram_pj = 0.0
    for cost in costs if costs is not None else buffer_costs(accelerator, sram):
        sram_pj += moved.get(("sram", "read", cost.name), 0) * cost.read_pj_per_byte
        sram_pj += moved.get(("sram", "write", cost.name), 0) * cost.write_pj_per_byte
    dram_mj = dram * (hardware.dram_energy.value * _MJ_PER_PJ)
    sram_mj, core_mj = sram_pj * _MJ_PER_PJ, core_power_mw(accelerator) * seconds
    return RunResult(
        total_cycles=compute + stall,
        compute_cycles=compute,
        stall_cycles=stall,
        macs=computed * outputs * inputs,
        dense_macs=workload.visual_tokens * outputs * inputs,
        activation_bytes=hardware.element_bytes.value * computed * inputs,
        compression_ratio=tokens / computed if computed else 1.0,
        dram_bytes=dram,
        moved_bytes=moved,
        seconds=seconds,
        dram_mj=dram_mj,
        sram_mj=sram_mj,
        core_mj=core_mj,
        total_mj=dram_mj + sram_mj + core_mj,
    )
