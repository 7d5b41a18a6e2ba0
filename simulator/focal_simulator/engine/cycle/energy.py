"""Energy of a timed run: actions times energy per action, and leakage times time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from focal_simulator.accelerators.base import Accelerator
from focal_simulator.costs.buffer_costs import BufferCost
from focal_simulator.engine.parity.level import core_power_mw
from focal_simulator.hardware.specs import Component
from focal_simulator.jobs.context import CycleContext
from focal_simulator.workload.arithmetic import exact_sum
from focal_simulator.workload.layer_table import Traffic

_MJ_PER_PJ = 1e-9


@dataclass(frozen=True, slots=True)
class EnergyItem:
    """One line of the breakdown.

    Attributes:
        group: ``core``, ``sram`` or ``dram``.
        name: Unit, buffer or DRAM action.
        actions: Cycles the unit was active, bytes moved, or 0 for leakage and background.
        energy_mj: Energy.
    """

    group: str
    name: str
    actions: float
    energy_mj: float


def core_energy(
    accelerator: Accelerator[Any],
    context: CycleContext,
    busy: Mapping[str, int],
    total_cycles: int,
    parts: tuple[Component, ...],
) -> list[EnergyItem]:
    """Return the energy of every unit of the core.

    Model: dynamic power while the unit works, leakage all the time.

    Args:
        accelerator: With its hardware.
        context: For the corrections.
        busy: Cycles in which each kind of unit works.
        total_cycles: Of the run.
        parts: The units.
    """
    hertz = accelerator.hardware.clock.value
    seconds = total_cycles / hertz
    if not context.has("core_energy"):
        return [EnergyItem("core", "all units", total_cycles, core_power_mw(accelerator) * seconds)]
    leakage = accelerator.hardware.leakage_share
    items = []
    for part in parts:
        # Several units may share the work that was counted; none is busy for longer than the run.
        active = min(busy[part.active_with], total_cycles)
        share = leakage + (1 - leakage) * (active / total_cycles if total_cycles else 0.0)
        items.append(
            EnergyItem("core", part.label, active, part.power.value * part.count.value * seconds * share)
        )
    return items


def sram_energy(
    costs: tuple[BufferCost, ...], moved: Mapping[Traffic, int | float], seconds: float
) -> list[EnergyItem]:
    """Return the energy of every buffer: bytes times energy per byte, and leakage."""
    items = []
    for cost in costs:
        read = moved.get(("sram", "read", cost.name), 0)
        written = moved.get(("sram", "write", cost.name), 0)
        dynamic = (read * cost.read_pj_per_byte + written * cost.write_pj_per_byte) * _MJ_PER_PJ
        items.append(EnergyItem("sram", cost.name, read + written, dynamic + cost.static_mw * seconds))
    return items


def dram_energy(
    accelerator: Accelerator[Any],
    context: CycleContext,
    moved: Mapping[Traffic, int | float],
    seconds: float,
) -> list[EnergyItem]:
    """Return the energy of DRAM reads, writes and standby."""
    read = exact_sum(value for (level, way, _), value in moved.items() if (level, way) == ("dram", "read"))
    written = exact_sum(
        value for (level, way, _), value in moved.items() if (level, way) == ("dram", "write")
    )
    if not context.has("dram_energy"):
        each = accelerator.hardware.dram_energy.value * _MJ_PER_PJ
        return [EnergyItem("dram", "all bytes", read + written, (read + written) * each)]
    rates = context.rates
    return [
        EnergyItem("dram", "read", read, read * rates.read_pj_per_byte * _MJ_PER_PJ),
        EnergyItem("dram", "write", written, written * rates.write_pj_per_byte * _MJ_PER_PJ),
        EnergyItem("dram", "standby and refresh", 0, rates.background_mw * seconds),
    ]
