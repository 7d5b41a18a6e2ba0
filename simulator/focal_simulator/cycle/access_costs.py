"""Buffers by energy per access and leakage, from the same macros or the same table as their area."""

from __future__ import annotations

from focal_simulator.buffer_costs import BufferCost, costs_of
from focal_simulator.costs.needs import BufferNeed, SramModel
from focal_simulator.specs import BufferSpec, HardwareSpec
from focal_simulator.sram_macros import macro_table

__all__ = ["access_costs"]

_BITS_PER_BYTE = 8


def access_costs(
    hardware: HardwareSpec, needs: tuple[BufferNeed, ...], model: SramModel
) -> tuple[BufferCost, ...]:
    """Return the costs of buffers by energy per access and leakage; raises as `costs_of`."""
    costs = costs_of(hardware, needs, model)
    if model != "compiler":
        return costs
    return tuple(_by_access(cost, hardware.buffers[cost.name]) for cost in costs)


def _by_access(cost: BufferCost, spec: BufferSpec) -> BufferCost:
    """Replace power by energy: microampere per megahertz is picocoulomb per access, times volts picojoule."""
    table = macro_table().macros
    leakage_mw = read = write = 0.0
    capacity = 0
    for use in spec.macros:
        macro, count = table[use.macro], use.parallel * use.banks
        width_bytes = macro.width_bits / _BITS_PER_BYTE
        bits = macro.depth * macro.width_bits * count
        leakage_mw += macro.leakage_ua * macro.supply_v / 1000 * count
        # Bytes spread over banks of different macros in proportion to what they hold.
        read += macro.read_ua_per_mhz * macro.supply_v / width_bytes * bits
        write += macro.write_ua_per_mhz * macro.supply_v / width_bytes * bits
        capacity += bits
    return BufferCost(
        name=cost.name,
        capacity_bytes=cost.capacity_bytes,
        area_mm2=cost.area_mm2,
        static_mw=leakage_mw,
        read_pj_per_byte=read / capacity,
        write_pj_per_byte=write / capacity,
        source=cost.source,
    )
