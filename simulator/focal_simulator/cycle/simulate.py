"""One workload on one accelerator in fidelity ``cycle``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from focal_simulator.accelerators.base import Accelerator
from focal_simulator.arithmetic import sequential_sum
from focal_simulator.buffer_costs import SramChoice
from focal_simulator.cycle.access_costs import access_costs
from focal_simulator.cycle.causes import CAUSES, STALLS
from focal_simulator.cycle.context import CycleContext
from focal_simulator.cycle.corrections import ALL
from focal_simulator.cycle.energy import EnergyItem, core_energy, dram_energy, sram_energy
from focal_simulator.cycle.memory import memory_rates
from focal_simulator.cycle.timing import JobTime, time_jobs
from focal_simulator.cycle.vector_units import with_special_functions
from focal_simulator.energy import RunResult
from focal_simulator.layer_table import ATTENTION, LAYERS, Traffic
from focal_simulator.workload import Workload

__all__ = ["CycleResult", "counted_bytes", "cycle_context", "simulate_cycles", "summarise"]


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
    accelerator.accepts(workload)
    context = cycle_context(accelerator, corrections)
    jobs = with_special_functions(accelerator.jobs(workload, context), accelerator, workload, context)
    times = time_jobs(jobs, is_shortened=is_shortened)
    return summarise(accelerator, context, times, _moved_bytes(accelerator, workload, context, times), sram)


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
    causes = {name: sum(int(time.causes[place]) for time in times) for place, name in enumerate(CAUSES)}
    total = sum(causes.values())
    stalls = sum(causes[name] for name in STALLS)
    seconds = total / accelerator.hardware.clock.value
    costs = access_costs(accelerator, context.corrections, sram)
    breakdown = [
        *core_energy(accelerator, context, times, total),
        *sram_energy(costs, moved, seconds),
        *dram_energy(accelerator, context, moved, seconds),
    ]

    def energy(group: str) -> float:
        return sum(item.energy_mj for item in breakdown if item.group == group)

    core_mj, sram_mj, dram_mj = energy("core"), energy("sram"), energy("dram")
    return CycleResult(
        total_cycles=total,
        compute_cycles=total - stalls,
        stall_cycles=stalls,
        macs=sum(time.job.macs for time in times),
        dense_macs=sum(time.job.dense_macs for time in times),
        activation_bytes=sum(time.job.activation_bytes for time in times),
        compression_ratio=_mean_ratio(times) if accelerator.uses_counts else None,
        dram_bytes=sum(value for (level, _, _), value in moved.items() if level == "dram"),
        moved_bytes=moved,
        seconds=seconds,
        dram_mj=dram_mj,
        sram_mj=sram_mj,
        core_mj=core_mj,
        total_mj=dram_mj + sram_mj + core_mj,
        causes=causes,
        times=tuple(times),
        breakdown=tuple(breakdown),
    )


def counted_bytes(times: Iterable[JobTime]) -> dict[Traffic, int | float]:
    """Return the bytes of timed jobs by (level, direction, buffer)."""
    moved: dict[Traffic, int | float] = {}
    for time in times:
        for key, value in time.job.traffic.items():
            moved[key] = moved.get(key, 0) + value
    return moved


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


def _mean_ratio(times: list[JobTime]) -> float:
    """Return the mean of rows before over rows after concentration over GEMMs that stream anything."""
    ratios = []
    for time in times:
        if time.job.part == "values":
            continue
        rows, streamed = time.job.shape.scattered_rows, time.job.shape.streamed_rows
        if streamed:
            ratios.append(rows / streamed)
    return sum(ratios) / len(ratios) if ratios else 1.0
