"""Buffers by energy per access and leakage, from the same macros or the same table as their area."""

from __future__ import annotations

from typing import Any

from focal_simulator.accelerators.base import Accelerator
from focal_simulator.buffer_costs import BufferCost, SramChoice, costs_of
from focal_simulator.specs import BufferSpec
from focal_simulator.sram_macros import macro_table

__all__ = ["access_costs"]

_BITS_PER_BYTE = 8


def access_costs(
    accelerator: Accelerator[Any], corrections: frozenset[str], choice: SramChoice
) -> tuple[BufferCost, ...]:
    """Return the costs of the buffers that the corrections leave to an accelerator.

    Args:
        accelerator: For its hardware.
        corrections: With ``sram_energy``, energy per access and leakage; otherwise as published.
        choice: Buffer cost model.
    """
    model = accelerator.cycle_sram_model(corrections) if choice == "auto" else choice
    costs = costs_of(accelerator, accelerator.cycle_buffers(corrections), model)
    if "sram_energy" not in corrections or model != "compiler":
        return costs
    return tuple(_by_access(cost, accelerator.hardware.buffers[cost.name]) for cost in costs)


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
