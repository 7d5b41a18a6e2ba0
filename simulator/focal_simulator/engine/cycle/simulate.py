"""One workload on one accelerator in fidelity ``cycle``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

from focal_common.errors import ConfigError, near_matches
from focal_simulator.accelerators.base import (
    Accelerator,
    PublishedFormulas,
    all_components,
    check_accepted,
)
from focal_simulator.accelerators.corrections import ALL
from focal_simulator.costs.buffer_costs import BufferCost, SramChoice, access_costs, costs_of, of_all_arrays
from focal_simulator.engine.base import RunResult
from focal_simulator.engine.cycle.design_cache import DesignCache
from focal_simulator.engine.cycle.energy import (
    EnergyItem,
    Prices,
    core_energy,
    dram_energy,
    job_energies,
    sram_energy,
)
from focal_simulator.engine.cycle.packed import GroupCounts
from focal_simulator.engine.cycle.timing import JobTime, job_times
from focal_simulator.engine.cycle.totals import Totals
from focal_simulator.jobs.context import CycleContext, memory_rates
from focal_simulator.jobs.jobs import CAUSES
from focal_simulator.jobs.lowering import BatchedTiles, Lowering
from focal_simulator.jobs.operators import OperatorTiles, timed_lanes
from focal_simulator.jobs.vector_units import with_special_functions
from focal_simulator.workload.arithmetic import sequential_sum
from focal_simulator.workload.layer_table import ATTENTION, LAYERS, LayerTable, Traffic
from focal_simulator.workload.workload import Workload


@dataclass(frozen=True, kw_only=True)
class CycleResult(RunResult):
    """Totals with their reasons.

    Attributes:
        causes: Cycles by cause; they sum to ``total_cycles``.
        breakdown: Energy by unit, buffer and DRAM action; it sums to ``total_mj``.
        counts: Of each group of jobs.
        prices: What the breakdown was made of.
    """

    causes: Mapping[str, int]
    breakdown: tuple[EnergyItem, ...]
    counts: tuple[GroupCounts, ...]
    prices: Prices

    @property
    def job_energies(self) -> list[dict[str, float]]:
        """Energy of every timed GEMM in mJ by part of the chip, in the order of execution."""
        return job_energies(self.counts, self.prices, self.breakdown, self.seconds)

    @cached_property
    def times(self) -> tuple[JobTime, ...]:
        """Every timed GEMM, in the order of execution."""
        return job_times(self.counts)


def simulate_cycles(
    accelerator: Accelerator[Any],
    workload: Workload,
    sram: SramChoice = "auto",
    corrections: frozenset[str] = ALL,
    cache: DesignCache | None = None,
) -> CycleResult:
    """Run one workload.

    Args:
        accelerator: Plug-in with its hardware.
        workload: What to run.
        sram: Buffer cost model.
        corrections: Names that are on.
        cache: What runs before this one found; results are the same with any.

    Raises:
        UnsupportedError: The accelerator does not accept the workload.
    """
    check_accepted(accelerator, workload)
    context = cycle_context(accelerator, corrections)
    lowering = lowered(accelerator, workload, context)
    counts, totals = (cache or DesignCache()).run(lowering, accelerator.hardware.arrays.value)
    # Without published formulas, or without a prefill, there are no published bytes to go back to.
    is_left = context.has("attention_traffic") or workload.operators
    if not is_left and isinstance(accelerator, PublishedFormulas):
        published = accelerator.layers(workload)
        totals = replace(totals, moved=_with_published_attention(counts, published, workload.batch))
    return _priced(accelerator, context, counts, totals, sram)


def lowered(accelerator: Accelerator[Any], workload: Workload, context: CycleContext) -> Lowering:
    """Return what an accelerator makes of an accepted workload, special functions beside it where they are timed."""
    if workload.operators:
        array, lanes = accelerator.array(context), timed_lanes(accelerator.hardware, context)
        return Lowering(OperatorTiles(workload, array, lanes, context.corrections), array)
    lowering = accelerator.jobs(workload, context)
    if context.has("special_functions") and accelerator.hardware.special_functions:
        live, is_causal = accelerator.live_tokens(workload), context.has("causal_tiles")
        lowering = with_special_functions(lowering, accelerator.hardware, live, workload.geometry, is_causal)
    if workload.batch == 1:
        return lowering
    return Lowering(BatchedTiles(lowering.tiles, workload.batch), lowering.array)


def simulate_lowering(
    accelerator: Accelerator[Any], lowering: Lowering, context: CycleContext, sram: SramChoice
) -> CycleResult:
    """Run jobs; see `simulate_cycles`.

    Args:
        accelerator: For the costs of its units.
        lowering: The jobs and their array.
        context: Memory and corrections.
        sram: Buffer cost model.
    """
    arrays = accelerator.hardware.arrays.value
    return _priced(accelerator, context, *DesignCache().run(lowering, arrays), sram)


def cycle_context(accelerator: Accelerator[Any], corrections: frozenset[str]) -> CycleContext:
    """Return the memory of an accelerator with the corrections; raises as `memory_rates`."""
    hardware = accelerator.hardware
    memory = hardware.dram or hardware.dram_system
    return CycleContext(memory_rates(memory, hardware.clock.value, hardware.arrays.value), corrections)


@lru_cache(maxsize=4)  # a study asks for the costs of a design before it runs, and for every workload
def cycle_costs(
    accelerator: Accelerator[Any], corrections: frozenset[str], choice: SramChoice
) -> tuple[BufferCost, ...]:
    """Return the buffers of all arrays that the corrections leave, by energy per access if so corrected.

    Raises:
        ConfigError: See `costs_of`.
    """
    model = accelerator.sram_model(corrections) if choice == "auto" else choice
    price = access_costs if "sram_energy" in corrections else costs_of
    costs = price(accelerator.hardware, accelerator.buffers(corrections), model)
    return of_all_arrays(costs, accelerator.hardware.arrays.value)


def _priced(
    accelerator: Accelerator[Any],
    context: CycleContext,
    counts: tuple[GroupCounts, ...],
    totals: Totals,
    sram: SramChoice,
) -> CycleResult:
    """Return the result of a run from what it counts."""
    corrections = context.corrections
    costs = cycle_costs(accelerator, corrections, sram)
    # Published bytes of attention are counted on buffers that corrections may have taken away.
    if context.has("attention_traffic"):
        _check_priced(accelerator, totals.moved, costs)
    parts = all_components(accelerator, corrections)
    total = totals.cycles
    seconds = total / accelerator.hardware.clock.value
    core = core_energy(accelerator, context, totals.busy_cycles, total, parts)
    sram_items = sram_energy(costs, totals.moved, seconds)
    dram = dram_energy(accelerator, context, totals, seconds)
    core_mj, sram_mj, dram_mj = (
        math.fsum(item.energy_mj for item in items) for items in (core, sram_items, dram)
    )
    return CycleResult(
        total_cycles=total,
        compute_cycles=total - totals.stalls,
        stall_cycles=totals.stalls,
        macs=totals.macs,
        dense_macs=totals.dense_macs,
        activation_bytes=totals.activation_bytes,
        compression_ratio=totals.compression_ratio if accelerator.study.uses_counts else None,
        dram_bytes=totals.dram_bytes,
        moved_bytes=totals.moved,
        seconds=seconds,
        dram_mj=dram_mj,
        sram_mj=sram_mj,
        core_mj=core_mj,
        total_mj=dram_mj + sram_mj + core_mj,
        causes=dict(zip(CAUSES, totals.causes, strict=True)),
        breakdown=(*core, *sram_items, *dram),
        counts=counts,
        prices=Prices(accelerator, context, parts, costs),
    )


def _check_priced(
    accelerator: Accelerator[Any], moved: Mapping[Traffic, int | float], costs: tuple[BufferCost, ...]
) -> None:
    """Refuse bytes through a buffer that nothing prices."""
    names = [cost.name for cost in costs]
    for level, _, buffer in moved:
        if level == "sram" and buffer not in names:
            raise ConfigError(
                f"{accelerator.name}: its jobs move bytes through buffer '{buffer}', which its hardware lacks; "
                f"{near_matches(buffer, names)}"
            )


def _with_published_attention(
    counts: Sequence[GroupCounts], table: LayerTable, batch: int
) -> dict[Traffic, int | float]:
    """Return the bytes of a run with those of attention as the published formulas count them for each prompt."""
    moved: dict[Traffic, int | float] = {}
    for one in counts:
        is_linear = [job.layer != LAYERS[ATTENTION] for job in one.group.members]
        for key, values in one.traffic.items():
            moved[key] = moved.get(key, 0) + int(values[is_linear].sum())
    for key, values in table.moved_bytes.items():
        moved[key] = moved.get(key, 0) + sequential_sum(values[:, ATTENTION]) * table.repeats * batch
    return moved
