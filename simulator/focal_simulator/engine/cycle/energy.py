"""Energy of a timed run: actions times energy per action, and leakage times time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from focal_simulator.accelerators.base import Accelerator
from focal_simulator.costs.buffer_costs import BufferCost
from focal_simulator.engine.cycle.packed import GroupCounts, in_order
from focal_simulator.engine.cycle.totals import Totals
from focal_simulator.engine.parity.level import core_power_mw
from focal_simulator.hardware.specs import Component
from focal_simulator.jobs.context import CycleContext
from focal_simulator.workload.layer_table import Traffic

_MJ_PER_PJ = 1e-9

GROUPS = ("core", "sram", "dram")


class EnergyItem(NamedTuple):
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
        parts: The units of all arrays.
    """
    arrays, hertz = accelerator.hardware.arrays.value, accelerator.hardware.clock.value
    seconds = total_cycles / hertz
    if not context.has("core_energy"):
        power_mw = core_power_mw(accelerator) * arrays
        return [EnergyItem("core", "all units", total_cycles, power_mw * seconds)]
    leakage, most = accelerator.hardware.leakage_share, total_cycles * arrays
    items = []
    for part in parts:
        # Several units may share the work that was counted; none is busy for longer than the run.
        active = min(busy[part.active_with], most)
        share = leakage + (1 - leakage) * (active / most if most else 0.0)
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
    totals: Totals,
    seconds: float,
) -> list[EnergyItem]:
    """Return the energy of DRAM reads, writes and standby."""
    read, written = totals.dram_read_bytes, totals.dram_written_bytes
    if not context.has("dram_energy"):
        each = accelerator.hardware.dram_energy.value * _MJ_PER_PJ
        return [EnergyItem("dram", "all bytes", read + written, (read + written) * each)]
    rates = context.rates
    return [
        EnergyItem("dram", "read", read, read * rates.read_pj_per_byte * _MJ_PER_PJ),
        EnergyItem("dram", "write", written, written * rates.write_pj_per_byte * _MJ_PER_PJ),
        EnergyItem("dram", "standby and refresh", 0, rates.background_mw * seconds),
    ]


@dataclass(frozen=True, slots=True)
class Prices:
    """What the energy of a run was made of.

    Attributes:
        accelerator: With its hardware.
        context: For the corrections and the memory.
        parts: Units of the core.
        costs: Buffers.
    """

    accelerator: Accelerator[Any]
    context: CycleContext
    parts: tuple[Component, ...]
    costs: tuple[BufferCost, ...]


def job_energies(
    counts: Sequence[GroupCounts], prices: Prices, breakdown: Sequence[EnergyItem], seconds: float
) -> list[dict[str, float]]:
    """Return the energy of every job in the order of execution, in mJ by `GROUPS`.

    Leakage and standby are shared by cycles, dynamic energy by the cycles that a unit works or the bytes that move, so
    the jobs sum to the run.
    """
    found = {name: [np.zeros(len(one.group.places)) for one in counts] for name in GROUPS}
    for group, amount, energy in _shares(prices, breakdown, seconds):
        amounts = [amount(one) for one in counts]
        if not any(np.any(one) for one in amounts):
            amounts = [_cycles(one) for one in counts]
        total = max(math.fsum(float(np.sum(one)) for one in amounts), 1e-300)
        for place, one in enumerate(amounts):
            found[group][place] += energy * (one / total)
    rows = zip(*(in_order(counts, [one.tolist() for one in found[name]]) for name in GROUPS), strict=True)
    return [dict(zip(GROUPS, row, strict=True)) for row in rows]


def _shares(
    prices: Prices, breakdown: Sequence[EnergyItem], seconds: float
) -> Iterator[tuple[str, Callable[[GroupCounts], Any], float]]:
    """Yield the group of each part of the breakdown, what it is shared by, axis (jobs), and its energy."""
    items = {name: [item for item in breakdown if item.group == name] for name in GROUPS}
    if prices.context.has("core_energy"):
        leakage = prices.accelerator.hardware.leakage_fraction.value
        for part, item in zip(prices.parts, items["core"], strict=True):
            idle = part.power.value * part.count.value * seconds * leakage
            yield "core", _cycles, idle
            yield "core", partial(_busy, unit=part.active_with), item.energy_mj - idle
    else:
        yield from (("core", _cycles, item.energy_mj) for item in items["core"])
    for cost, item in zip(prices.costs, items["sram"], strict=True):
        still = cost.static_mw * seconds
        yield "sram", _cycles, still
        yield "sram", partial(_accesses, cost=cost), item.energy_mj - still
    for item in items["dram"]:
        ways = {"read": ("read",), "write": ("write",), "all bytes": ("read", "write")}.get(item.name)
        yield "dram", partial(_dram_bytes, ways=ways) if ways else _cycles, item.energy_mj


def _cycles(counts: GroupCounts) -> Any:
    return counts.causes.sum(axis=1)


def _busy(counts: GroupCounts, unit: str) -> Any:
    return counts.busy.get(unit, np.zeros(len(counts.group.places)))


def _accesses(counts: GroupCounts, cost: BufferCost) -> Any:
    none = np.zeros(len(counts.group.places))
    read, written = (counts.traffic.get(("sram", way, cost.name), none) for way in ("read", "write"))
    return read * cost.read_pj_per_byte + written * cost.write_pj_per_byte


def _dram_bytes(counts: GroupCounts, ways: tuple[str, ...]) -> Any:
    none = np.zeros(len(counts.group.places), dtype=np.int64)
    moved = (value for (level, way, _), value in counts.traffic.items() if level == "dram" and way in ways)
    return sum(moved, none)
