"""Area and power: the summary of all accelerators (Focus, HPCA 2026, Table III), and a breakdown."""

from __future__ import annotations

from typing import Any

from focal_simulator.accelerators import ACCELERATORS
from focal_simulator.accelerators.base import Accelerator
from focal_simulator.buffer_costs import BufferCost, SramChoice, buffer_costs
from focal_simulator.energy import RunResult, core_power_mw
from focal_simulator.hardware_files import build_accelerator

__all__ = ["area_power_rows", "area_power_summary", "breakdown_rows", "core_area_mm2"]

_BYTES_PER_KIB = 1024


def core_area_mm2(accelerator: Accelerator[Any]) -> float:
    """Return the area of the core logic."""
    return sum(part.area.value * part.count.value for part in accelerator.components())


def area_power_rows(accelerator: Accelerator[Any], costs: tuple[BufferCost, ...]) -> dict[str, str | float]:
    """Return the summary row of one accelerator: mm2, mW, KiB."""
    return {
        "Accelerator": accelerator.summary_label or accelerator.hardware.label,
        "Area": core_area_mm2(accelerator) + sum(cost.area_mm2 for cost in costs),
        "On-chip Power": core_power_mw(accelerator) + sum(cost.static_mw for cost in costs),
        "Buffer Size": sum(cost.capacity_bytes for cost in costs) / _BYTES_PER_KIB,
    }


def area_power_summary(
    changed: dict[str, Accelerator[Any]] | None = None, sram: SramChoice = "auto"
) -> list[dict[str, str | float]]:
    """Return the summary of every accelerator that has a row of its own.

    Args:
        changed: Accelerators of this run by registry name; the others are taken from their presets.
        sram: Buffer cost model of the accelerators of this run.
    """
    rows = []
    for name in _table_order():
        accelerator = (changed or {}).get(name) or build_accelerator(name)
        if accelerator.summary_label is not None:
            choice: SramChoice = sram if name in (changed or {}) else "auto"
            rows.append(area_power_rows(accelerator, buffer_costs(accelerator, choice)))
    return rows


def breakdown_rows(
    accelerator: Accelerator[Any], costs: tuple[BufferCost, ...], result: RunResult
) -> list[dict[str, str | float]]:
    """Return area (mm2), power (mW) and energy (mJ) of every component, buffer and the DRAM of one run."""
    rows: list[dict[str, str | float]] = []
    for part in accelerator.components():
        power = part.power.value * part.count.value
        rows.append(
            {
                "component": part.label,
                "area": part.area.value * part.count.value,
                "power": power,
                "energy": power * result.seconds,
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


def _table_order() -> list[str]:
    # Order of the published table; plug-ins of others follow by name.
    published = ("dense", "adaptiv", "cmc", "focus")
    return [*published, *(name for name in ACCELERATORS if name not in published)]
