"""Energy of a memory system from its command counts, in true picojoules.

Model: each command costs supply x current above standby x its duration; every rank draws active standby while
a row is open and precharge standby otherwise. Volt x milliampere x nanosecond = picojoule. No power-down, VPP
or termination. DRAMsim3 prints the same sums per clock instead of per nanosecond; multiply by the clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

from focal_simulator.hardware.memory import BitEnergySpec, DramSpec


@dataclass(frozen=True, slots=True)
class CommandCounts:
    """Commands issued and rank-cycles spent, over all channels and ranks."""

    activates: int
    precharges: int
    reads: int
    writes: int
    refreshes: int
    row_hits: int
    open_rank_cycles: int
    closed_rank_cycles: int

    @classmethod
    def from_state(cls, state: Any, spec: DramSpec, cycles: int) -> CommandCounts:
        """Sum a replay's state after ``cycles`` clocks."""
        channels = state["channels"][: spec.channels]
        ranks = state["ranks"][: spec.channels * spec.ranks]
        is_open = ranks["num_open"] > 0
        still_open = int((cycles - ranks["open_since"][is_open]).sum())
        open_cycles = int(ranks["open_cycles"].sum()) + still_open
        return cls(
            activates=int(channels["num_activates"].sum()),
            precharges=int(channels["num_precharges"].sum()),
            reads=int(channels["num_reads"].sum()),
            writes=int(channels["num_writes"].sum()),
            refreshes=int(channels["num_refreshes"].sum()),
            row_hits=int(channels["num_row_hits"].sum()),
            open_rank_cycles=open_cycles,
            closed_rank_cycles=cycles * ranks.size - open_cycles,
        )


@dataclass(frozen=True, slots=True)
class CommandEnergy:
    """Energy of one command or one rank-cycle, over all devices of a rank."""

    activate_pj: float
    read_pj: float
    write_pj: float
    refresh_pj: float
    open_rank_cycle_pj: float
    closed_rank_cycle_pj: float
    interface_request_pj: float


@dataclass(frozen=True, slots=True)
class DramEnergy:
    """Energy by cause."""

    activate_pj: float
    read_pj: float
    write_pj: float
    refresh_pj: float
    open_standby_pj: float
    closed_standby_pj: float
    interface_pj: float

    @property
    def total_pj(self) -> float:
        """Sum of all causes."""
        return float(math.fsum(getattr(self, part.name) for part in fields(self)))


def command_energy(spec: DramSpec) -> CommandEnergy:
    """Return the energy per command of a memory system; one that is priced by the bit has none for rows and refresh."""
    interface_pj = (spec.interface.pj_per_bit if spec.interface else 0.0) * 8 * spec.request_bytes
    if spec.device.energy is not None:
        return _by_the_bit(spec, spec.device.energy, interface_pj)
    timing, currents = spec.device.timing, spec.device.currents
    assert currents is not None  # noqa: S101  (a device has one of the two)
    row_cycles = timing.activate_to_precharge_cycles + timing.precharge_cycles
    # pJ per mA and clock, over the devices of a rank
    scale = currents.supply_volts * spec.device.organisation.devices_per_rank * timing.clock_ns
    burst_cycles = spec.device.organisation.burst_cycles
    active_ma = currents.active_standby_ma
    return CommandEnergy(
        activate_pj=scale
        * (
            currents.activate_precharge_ma * row_cycles
            - active_ma * timing.activate_to_precharge_cycles
            - currents.precharge_standby_ma * timing.precharge_cycles
        ),
        read_pj=scale * (currents.read_burst_ma - active_ma) * burst_cycles,
        write_pj=scale * (currents.write_burst_ma - active_ma) * burst_cycles,
        refresh_pj=scale * (currents.refresh_ma - active_ma) * timing.refresh_cycles,
        open_rank_cycle_pj=scale * active_ma,
        closed_rank_cycle_pj=scale * currents.precharge_standby_ma,
        interface_request_pj=interface_pj,
    )


def _by_the_bit(spec: DramSpec, energy: BitEnergySpec, interface_pj: float) -> CommandEnergy:
    bits, rank_cycle_pj = 8 * spec.request_bytes, energy.background_mw * spec.device.timing.clock_ns
    return CommandEnergy(
        activate_pj=0.0,
        read_pj=energy.read_pj_per_bit * bits,
        write_pj=energy.write_pj_per_bit * bits,
        refresh_pj=0.0,
        open_rank_cycle_pj=rank_cycle_pj,
        closed_rank_cycle_pj=rank_cycle_pj,
        interface_request_pj=interface_pj,
    )


def energy_of(spec: DramSpec, counts: Any, closed_rank_cycles: float) -> DramEnergy:
    """Return the energy of counted commands and standby cycles.

    Args:
        spec: The memory system.
        counts: `CommandCounts`, or the means of a service curve.
        closed_rank_cycles: Rank-cycles without an open row.
    """
    unit = command_energy(spec)
    return DramEnergy(
        activate_pj=counts.activates * unit.activate_pj,
        read_pj=counts.reads * unit.read_pj,
        write_pj=counts.writes * unit.write_pj,
        refresh_pj=counts.refreshes * unit.refresh_pj,
        open_standby_pj=counts.open_rank_cycles * unit.open_rank_cycle_pj,
        closed_standby_pj=closed_rank_cycles * unit.closed_rank_cycle_pj,
        interface_pj=(counts.reads + counts.writes) * unit.interface_request_pj,
    )
