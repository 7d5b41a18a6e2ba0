"""Area and power: of all accelerators (Focus, HPCA 2026, Table III), and of the components of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from focal_simulator.accelerators import ACCELERATORS
from focal_simulator.accelerators.base import Accelerator, beyond_timing
from focal_simulator.accelerators.presets import BEYOND_TIMING, build_accelerator
from focal_simulator.costs.buffer_costs import BufferCost, SramChoice
from focal_simulator.engine.base import Fidelity, RunResult, peak_power_mw
from focal_simulator.results.rows import RUN_KEY, Row

ACCELERATOR_TABLE = "accelerators.csv"
ACCELERATOR_COLUMNS = ("accelerator", "fidelity", "area_mm2", "peak_on_chip_power_mw", "buffer_kib", "label")
COMPONENT_TABLE = "components.csv"
COMPONENT_COLUMNS = (*RUN_KEY, "component", "area_mm2", "power_mw", "energy_mj")

_BYTES_PER_KIB = 1024


def area_mm2(accelerator: Accelerator[Any], fidelity: Fidelity, costs: tuple[BufferCost, ...]) -> float:
    """Return the area of an accelerator with its buffers."""
    core = math.fsum(part.area.value * part.count.value for part in fidelity.components(accelerator))
    return core + math.fsum(cost.area_mm2 for cost in costs)


def accelerator_rows(
    changed: Mapping[str, Accelerator[Any]], sram: SramChoice, fidelity: Fidelity
) -> list[Row]:
    """Return a row with columns `ACCELERATOR_COLUMNS` of every accelerator that has a row of its own.

    Args:
        changed: Accelerators of this run by name; the others are taken from their presets.
        sram: Buffer cost model of the accelerators of this run.
        fidelity: Says what counts as part of an accelerator.
    """
    rows: list[Row] = []
    described = {name: one for name, one in changed.items() if one.hardware.base}
    every = {name: changed.get(name) or build_accelerator(name) for name in ACCELERATORS} | described
    for name, accelerator in sorted(every.items(), key=lambda item: item[1].study.summary_order):
        label = accelerator.hardware.label if name in described else accelerator.study.summary_label
        if label is None:
            continue
        costs = fidelity.costs(accelerator, sram if name in changed else "auto")
        rows.append(
            {
                "accelerator": name,
                "fidelity": fidelity.name,
                "area_mm2": area_mm2(accelerator, fidelity, costs),
                "peak_on_chip_power_mw": peak_power_mw(
                    fidelity.components(accelerator), costs, accelerator.hardware.clock.value
                ),
                "buffer_kib": sum(cost.capacity_bytes for cost in costs) / _BYTES_PER_KIB,
                "label": (label or accelerator.hardware.label)
                + (BEYOND_TIMING if beyond_timing(accelerator.hardware, costs) else ""),
            }
        )
    return rows


def component_rows(
    run: Mapping[str, Any],
    accelerator: Accelerator[Any],
    sram: SramChoice,
    fidelity: Fidelity,
    result: RunResult,
) -> list[Row]:
    """Return area, power and energy of every component, buffer and the DRAM of one run.

    Args:
        run: Its result row, for the columns `RUN_KEY`.
        accelerator: What ran.
        sram: Buffer cost model.
        fidelity: Says what counts as part of an accelerator.
        result: Totals of the run.

    Returns:
        Rows with columns `COMPONENT_COLUMNS`.
    """
    used = fidelity.unit_energy_mj(result)
    found: list[tuple[str, float, float, float]] = []
    for part in fidelity.components(accelerator):
        power = part.power.value * part.count.value
        energy = used.get(part.label, power * result.seconds)
        if part.label in used:
            power = energy / result.seconds
        found.append((part.label, part.area.value * part.count.value, power, energy))
    for cost in fidelity.costs(accelerator, sram):
        energy = cost.static_mw * result.seconds + _dynamic_mj(cost, result)
        found.append((cost.name, cost.area_mm2, cost.static_mw, energy))
    dram_mw = result.dram_mj / result.seconds if result.seconds else 0.0
    found.append(("dram", 0.0, dram_mw, result.dram_mj))
    key = [run[name] for name in RUN_KEY]
    return [dict(zip(COMPONENT_COLUMNS, (*key, *cells), strict=True)) for cells in found]


def _dynamic_mj(cost: BufferCost, result: RunResult) -> float:
    read = result.moved_bytes.get(("sram", "read", cost.name), 0) * cost.read_pj_per_byte
    written = result.moved_bytes.get(("sram", "write", cost.name), 0) * cost.write_pj_per_byte
    return (read + written) * 1e-9
