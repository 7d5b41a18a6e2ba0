"""The published formulas behind the interface of a fidelity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from focal_common.errors import UnsupportedError
from focal_simulator.accelerators.base import Accelerator, published_formulas
from focal_simulator.accelerators.presets import preset_hardware
from focal_simulator.costs.buffer_costs import BufferCost, SramChoice, buffer_costs
from focal_simulator.engine.base import Fidelity, RunResult
from focal_simulator.engine.cycle.design_cache import DesignCache
from focal_simulator.hardware.specs import Component
from focal_simulator.workload.arithmetic import exact_sum, sequential_sum
from focal_simulator.workload.layer_table import LayerTable, Traffic
from focal_simulator.workload.workload import Workload

_MJ_PER_PJ = 1e-9


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
        UnsupportedError: The accelerator has no published formulas, or does not accept the workload.
    """
    formulas = published_formulas(accelerator)
    _check_prefill(accelerator, workload)
    return _priced(
        accelerator, formulas.layers(workload), buffer_costs(accelerator, sram) if costs is None else costs
    )


def simulate_layer(
    accelerator: Accelerator[Any],
    workload: Workload,
    sram: SramChoice = "auto",
    costs: tuple[BufferCost, ...] | None = None,
) -> RunResult:
    """Run the one layer of a published vector-size sweep: fidelity ``parity_layer``; as published, without leakage.

    Arguments and errors are those of `simulate`.
    """
    formulas = published_formulas(accelerator)
    _check_prefill(accelerator, workload)
    stated = with_published_core(accelerator)
    priced = buffer_costs(stated, sram) if costs is None else costs
    return _priced(
        stated, formulas.swept_layer(workload), tuple(replace(cost, static_mw=0.0) for cost in priced)
    )


def with_published_core(accelerator: Accelerator[Any]) -> Accelerator[Any]:
    """Return what the published vector-size sweep charges: core and buffers of 32 x 32, whatever the array is."""
    preset: Any = preset_hardware(type(accelerator))
    return type(accelerator)(accelerator.hardware.model_copy(update={"core": preset.core}))


def _check_prefill(accelerator: Accelerator[Any], workload: Workload) -> None:
    """Refuse what the published formulas do not know, and what the accelerator does not accept."""
    if workload.operators:
        raise UnsupportedError(
            f"{accelerator.name}: {workload.label} is a list of GEMMs, and the published formulas of fidelity parity "
            "know whole prefills only; use fidelity cycle"
        )
    if workload.batch != 1:
        raise UnsupportedError(
            f"{accelerator.name}: batch is {workload.batch}, and the published formulas of fidelity parity know one "
            "prompt; use fidelity cycle"
        )
    if (arrays := accelerator.hardware.arrays.value) != 1:
        raise UnsupportedError(
            f"{accelerator.name}: field 'arrays' is {arrays}, and the published formulas of fidelity parity know one "
            "array; use fidelity cycle"
        )
    accelerator.accepts(workload)


def _priced(accelerator: Accelerator[Any], table: LayerTable, costs: tuple[BufferCost, ...]) -> RunResult:
    total = summed(table)
    moved = {key: _tidy(sequential_sum(value) * table.repeats) for key, value in table.moved_bytes.items()}
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
        compression_ratio=_mean_ratio(table),
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


class Parity(Fidelity):
    """The published simulator, bit for bit."""

    name = "parity"

    def unused_fields(self) -> Mapping[str, str]:
        """Return what only fidelity ``cycle`` looks at."""
        only = "only fidelity cycle uses it"
        return dict.fromkeys(
            ("dram_system", "arrays", "leakage_fraction", "dataflow", "dram_bandwidth"), only
        )

    def simulate(
        self,
        accelerator: Accelerator[Any],
        workload: Workload,
        sram: SramChoice,
        cache: DesignCache | None = None,
    ) -> RunResult:
        """Apply the published formulas."""
        return simulate(accelerator, workload, sram)

    def check_trace(self, accelerator: Accelerator[Any], workload: Workload) -> None:
        """Refuse an accelerator without published formulas."""
        published_formulas(accelerator)

    def costs(self, accelerator: Accelerator[Any], sram: SramChoice) -> tuple[BufferCost, ...]:
        """Return all buffers, with power as published."""
        return buffer_costs(accelerator, sram)

    def components(self, accelerator: Accelerator[Any]) -> tuple[Component, ...]:
        """Return all of the core."""
        return accelerator.components()


def parity(settings: Any) -> Parity:
    """Make the level for a run; it has no settings of its own."""
    return Parity()


class ParityLayer(Parity):
    """The one layer that the published vector-size sweep times."""

    name = "parity_layer"

    def costs(self, accelerator: Accelerator[Any], sram: SramChoice) -> tuple[BufferCost, ...]:
        """Return the buffers of the published core."""
        return buffer_costs(with_published_core(accelerator), sram)

    def components(self, accelerator: Accelerator[Any]) -> tuple[Component, ...]:
        """Return the published core."""
        return with_published_core(accelerator).components()

    def simulate(
        self,
        accelerator: Accelerator[Any],
        workload: Workload,
        sram: SramChoice,
        cache: DesignCache | None = None,
    ) -> RunResult:
        """Time that layer."""
        return simulate_layer(accelerator, workload, sram)


def parity_layer(settings: Any) -> ParityLayer:
    """Make the level for a run; it has no settings of its own."""
    return ParityLayer()
