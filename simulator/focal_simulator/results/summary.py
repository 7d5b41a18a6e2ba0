"""Area and power: the summary of all accelerators (Focus, HPCA 2026, Table III), and a breakdown."""

from __future__ import annotations

import math
from typing import Any

from focal_simulator.accelerators import ACCELERATORS
from focal_simulator.accelerators.base import Accelerator
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.costs.buffer_costs import BufferCost, SramChoice
from focal_simulator.engine.base import Fidelity, RunResult
from focal_simulator.engine.parity.level import Parity
from focal_simulator.hardware.specs import Component

__all__ = ["area_power_rows", "area_power_summary", "breakdown_rows"]

_BYTES_PER_KIB = 1024


def area_power_rows(
    accelerator: Accelerator[Any], components: tuple[Component, ...], costs: tuple[BufferCost, ...]
) -> dict[str, str | float]:
    """Return the summary row of one accelerator: mm2, mW, KiB."""
    core_area_mm2 = math.fsum(part.area.value * part.count.value for part in components)
    core_mw = math.fsum(part.power.value * part.count.value for part in components)
    return {
        "Accelerator": accelerator.study.summary_label or accelerator.hardware.label,
        "Area": core_area_mm2 + math.fsum(cost.area_mm2 for cost in costs),
        "On-chip Power": core_mw + math.fsum(cost.static_mw for cost in costs),
        "Buffer Size": sum(cost.capacity_bytes for cost in costs) / _BYTES_PER_KIB,
    }


def area_power_summary(
    changed: dict[str, Accelerator[Any]] | None = None,
    sram: SramChoice = "auto",
    fidelity: Fidelity | None = None,
) -> list[dict[str, str | float]]:
    """Return the summary of every accelerator that has a row of its own.

    Args:
        changed: Accelerators of this run by registry name; the others are taken from their presets.
        sram: Buffer cost model of the accelerators of this run.
        fidelity: What counts as part of an accelerator; all of it, as published, if None.
    """
    level = fidelity or Parity()
    rows = []
    every = {name: (changed or {}).get(name) or build_accelerator(name) for name in ACCELERATORS}
    for name, accelerator in sorted(every.items(), key=lambda item: item[1].study.summary_order):
        if accelerator.study.summary_label is not None:
            choice: SramChoice = sram if name in (changed or {}) else "auto"
            rows.append(
                area_power_rows(accelerator, level.components(accelerator), level.costs(accelerator, choice))
            )
    return rows


def breakdown_rows(
    accelerator: Accelerator[Any], sram: SramChoice, fidelity: Fidelity, result: RunResult
) -> list[dict[str, str | float]]:
    """Return area (mm2), power (mW) and energy (mJ) of every component, buffer and the DRAM of one run."""
    costs = fidelity.costs(accelerator, sram)
    used = fidelity.unit_energy_mj(result)
    rows: list[dict[str, str | float]] = []
    for part in fidelity.components(accelerator):
        energy = used.get(part.label, part.power.value * part.count.value * result.seconds)
        power = energy / result.seconds if part.label in used else part.power.value * part.count.value
        rows.append(
            {
                "component": part.label,
                "area": part.area.value * part.count.value,
                "power": power,
                "energy": energy,
            }
        )
    for cost in costs:
        rows.append(
            {
                "component": cost.name,
                "area": cost.area_mm2,
                "power": cost.static_mw,
                "energy": cost.static_mw * result.seconds + _dynamic_mj(cost, result),
            }
        )
    power = result.dram_mj / result.seconds if result.seconds else 0.0
    rows.append({"component": "dram", "area": 0.0, "power": power, "energy": result.dram_mj})
    return rows


def _dynamic_mj(cost: BufferCost, result: RunResult) -> float:
    read = result.moved_bytes.get(("sram", "read", cost.name), 0) * cost.read_pj_per_byte
    written = result.moved_bytes.get(("sram", "write", cost.name), 0) * cost.write_pj_per_byte
    return (read + written) * 1e-9
