"""One workload on one accelerator in fidelity ``cycle``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from focal_simulator.accelerators.base import Accelerator
from focal_simulator.arithmetic import exact_sum, sequential_sum
from focal_simulator.buffer_costs import BufferCost, SramChoice
from focal_simulator.cycle.access_costs import access_costs
from focal_simulator.cycle.causes import CAUSES
from focal_simulator.cycle.context import CycleContext
from focal_simulator.cycle.corrections import ALL
from focal_simulator.cycle.energy import EnergyItem, core_energy, dram_energy, sram_energy
from focal_simulator.cycle.memory import memory_rates
from focal_simulator.cycle.timing import JobTime, time_jobs
from focal_simulator.cycle.totals import Totals, counted_bytes
from focal_simulator.cycle.vector_units import with_special_functions
from focal_simulator.energy import RunResult
from focal_simulator.layer_table import ATTENTION, LAYERS, Traffic
from focal_simulator.specs import Component
from focal_simulator.workload import Workload

__all__ = ["CycleResult", "counted_totals", "cycle_context", "priced", "simulate_cycles", "summarise"]


@dataclass(frozen=True, kw_only=True)
class CycleResult(RunResult):
    """Totals with their reasons.

    Attributes:
        causes: Cycles by cause; they sum to ``total_cycles``.
        times: Every timed GEMM.
        breakdown: Energy by unit, buffer and DRAM action; it sums to ``total_mj``.
    """

    causes: Mapping[str, int]
    times: tuple[JobTime, ...]
    breakdown: tuple[EnergyItem, ...]


def simulate_cycles(
    accelerator: Accelerator[Any],
    workload: Workload,
    sram: SramChoice = "auto",
    corrections: frozenset[str] = ALL,
    *,
    is_shortened: bool = True,
) -> CycleResult:
    """Run one workload.

    Args:
        accelerator: Plug-in with its hardware.
        workload: What to run.
        sram: Buffer cost model.
        corrections: Names that are on.
        is_shortened: Skip n-buffer tiles that provably repeat; the result is the same.

    Raises:
        UnsupportedError: The accelerator does not accept the workload.
    """
    context = cycle_context(accelerator, corrections)
    times = _timed(accelerator, workload, context, is_shortened)
    return summarise(accelerator, context, times, _moved_bytes(accelerator, workload, context, times), sram)


def counted_totals(accelerator: Accelerator[Any], workload: Workload, context: CycleContext) -> Totals:
    """Return what a run counts, before anything is priced; raises as `simulate_cycles`."""
    times = _timed(accelerator, workload, context, True)
    return Totals.of(times, _moved_bytes(accelerator, workload, context, times))


def _timed(
    accelerator: Accelerator[Any], workload: Workload, context: CycleContext, is_shortened: bool
) -> list[JobTime]:
    accelerator.accepts(workload)
    jobs = with_special_functions(accelerator.jobs(workload, context), accelerator, workload, context)
    return time_jobs(jobs, is_shortened=is_shortened)


def cycle_context(accelerator: Accelerator[Any], corrections: frozenset[str]) -> CycleContext:
    """Return the memory of an accelerator with the corrections."""
    hardware = accelerator.hardware
    return CycleContext(memory_rates(hardware.dram_system, hardware.clock.value), corrections)


def summarise(
    accelerator: Accelerator[Any],
    context: CycleContext,
    times: list[JobTime],
    moved: Mapping[Traffic, int | float],
    sram: SramChoice,
) -> CycleResult:
    """Sum timed jobs into a result.

    Args:
        accelerator: With its hardware.
        context: Memory and corrections.
        times: Jobs in order.
        moved: Bytes by (level, direction, buffer).
        sram: Buffer cost model.
    """
    costs = access_costs(accelerator, context.corrections, sram)
    parts = accelerator.cycle_components(context.corrections)
    return replace(priced(accelerator, context, Totals.of(times, moved), costs, parts), times=tuple(times))


def priced(
    accelerator: Accelerator[Any],
    context: CycleContext,
    totals: Totals,
    costs: tuple[BufferCost, ...],
    parts: tuple[Component, ...],
) -> CycleResult:
    """Return the result of a run, without its single GEMMs.

    Args:
        accelerator: With its hardware.
        context: Memory and corrections.
        totals: What was counted.
        costs: Of the buffers.
        parts: Core logic.
    """
    total = totals.cycles
    seconds = total / accelerator.hardware.clock.value
    breakdown = [
        *core_energy(accelerator, context, totals.busy, total, parts),
        *sram_energy(costs, totals.moved, seconds),
        *dram_energy(accelerator, context, totals.moved, seconds),
    ]

    def energy(group: str) -> float:
        return math.fsum(item.energy_mj for item in breakdown if item.group == group)

    core_mj, sram_mj, dram_mj = energy("core"), energy("sram"), energy("dram")
    return CycleResult(
        total_cycles=total,
        compute_cycles=total - totals.stalls,
        stall_cycles=totals.stalls,
        macs=totals.macs,
        dense_macs=totals.dense_macs,
        activation_bytes=totals.activation_bytes,
        compression_ratio=totals.compression_ratio if accelerator.uses_counts else None,
        dram_bytes=exact_sum(value for (level, _, _), value in totals.moved.items() if level == "dram"),
        moved_bytes=totals.moved,
        seconds=seconds,
        dram_mj=dram_mj,
        sram_mj=sram_mj,
        core_mj=core_mj,
        total_mj=dram_mj + sram_mj + core_mj,
        causes=dict(zip(CAUSES, totals.causes, strict=True)),
        times=(),
        breakdown=tuple(breakdown),
    )


def _moved_bytes(
    accelerator: Accelerator[Any], workload: Workload, context: CycleContext, times: list[JobTime]
) -> dict[Traffic, int | float]:
    is_published = not context.has("attention_traffic")
    attention = LAYERS[ATTENTION]
    moved = counted_bytes(time for time in times if not (is_published and time.job.layer == attention))
    if is_published:
        table = accelerator.layers(workload)
        for key, values in table.moved_bytes.items():
            moved[key] = moved.get(key, 0) + sequential_sum(values[:, ATTENTION]) * table.repeats
    return moved
