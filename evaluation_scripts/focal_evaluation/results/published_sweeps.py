"""The published tables of Figure 10 (Focus, HPCA 2026) from the packaged studies ``dse_a`` to ``dse_d``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from focal_common import __version__
from focal_common.errors import TraceError
from focal_simulator.accelerators.base import Accelerator
from focal_simulator.accelerators.focus.vector_layer import BLOCK, LAYER
from focal_simulator.accelerators.presets import build_accelerator, hardware_label
from focal_simulator.costs.buffer_costs import BufferCost, SramChoice, buffer_costs, sram_label
from focal_simulator.engine.parity.level import simulate, simulate_layer
from focal_simulator.results.output import write_rows
from focal_simulator.results.rows import Row, result_row
from focal_simulator.sweep.axes import METHOD
from focal_simulator.sweep.study import Study, read_study
from focal_simulator.workload.arithmetic import ceil_div
from focal_simulator.workload.loading import load_workloads, with_trace
from focal_simulator.workload.workload import Workload
from focal_traces.header.schema import GEMMS
from focal_traces.root.root import TraceRoot

__all__ = ["TABLES", "layer_row", "sweep_rows", "write_sweeps"]

TABLES = {
    "dse_a_m_tile": ("dse_a_m_tile_size.csv", "m_tile_size"),
    "dse_b_vector_size": ("dse_b_vector_size.csv", "vector_size"),
    "dse_c_block_size": ("dse_c_block_size.csv", "block_size"),
    "dse_d_scatter": ("dse_d_num_scatter_accumulator.csv", "num_scatter"),
}
"""Published file and column of the swept value, by study."""


def write_sweeps(root: TraceRoot, output: Path) -> list[Path]:
    """Write the four tables; see `sweep_rows` for errors.

    Args:
        root: Trace root.
        output: Folder; rows of an earlier run are replaced.
    """
    order = {pair: place for place, pair in enumerate(root.workloads)}
    paths = []
    for name, (file, column) in TABLES.items():
        key = ("model", "dataset", "variant", "fidelity", column)
        paths.append(write_rows(output, file, sweep_rows(name, root), key, order))
    return paths


def sweep_rows(name: str, root: TraceRoot) -> list[Row]:
    """Return the rows of a packaged study in the published layout, one for each value with a trace.

    Args:
        name: Of `TABLES`.
        root: Trace root.

    Raises:
        TraceError: The root lacks the workload of the study, or has no trace for any value.
    """
    study, _ = read_study(name)
    (axis,) = study.axes
    model, dataset = study.workloads[0].split("/")
    (workload,) = load_workloads(root, [model], [dataset])
    rows = []
    for label, settings in zip(axis.labels, axis.settings, strict=True):
        parameters = {
            field.removeprefix(METHOD): value for field, value in settings.items() if field.startswith(METHOD)
        }
        traced = _traced(study, parameters, workload, root)
        if traced is None:
            continue
        hardware = {field: value for field, value in settings.items() if not field.startswith(METHOD)}
        if parameters.get("m_tile") == -1:
            # The study names the tokens of the published workload; a tile of the whole prompt has those at hand.
            hardware["tiles.m_tile"] = traced.visual_tokens
            label = "-1"
        overrides = [f"{field}={value}" for field, value in hardware.items()]
        rows.append(
            _row(TABLES[name][1], label, build_accelerator("focus", overrides=overrides), traced, study.sram)
        )
    if not rows:
        raise TraceError(
            f"{root.path}: no trace of {workload.label} for the study {name}; similarity depends on what it varies, so "
            "record one trace per value with 'sh run_dse.sh'"
        )
    return rows


def _traced(study: Study, parameters: dict[str, Any], workload: Workload, root: TraceRoot) -> Workload | None:
    if not parameters:
        return workload if workload.counts is not None else None
    folder = study.traces.options["folder"]
    value = study.traces.options["variant"].format(**parameters)
    if value not in root.variants(folder, workload.model, workload.dataset):
        return None
    return with_trace(workload, root.open_trace(workload.model, workload.dataset, folder, value), folder)


def _row(column: str, value: str, accelerator: Accelerator[Any], workload: Workload, sram: SramChoice) -> Row:
    accelerator.accepts(workload)
    costs = buffer_costs(accelerator, sram)
    if column == "vector_size":
        return layer_row(accelerator, workload, int(value), sram, costs)
    extra: Row = {column: value if column == "block_size" else int(value)}
    if column == "m_tile_size":
        extra["total_buffer_capacity"] = sum(cost.capacity_bytes for cost in costs)
    if column == "num_scatter":
        near_array = [cost.area_mm2 for cost in costs if cost.name in ("concentrate_out", "output")]
        extra = {"buffer_area": sum(near_array), **extra}
    result = simulate(accelerator, workload, sram, costs)
    sram_model, label = sram_label(costs), hardware_label(accelerator)
    return result_row(accelerator, "focus", workload, result, "parity", sram_model, label, **extra)


def layer_row(
    accelerator: Accelerator[Any],
    workload: Workload,
    vector_size: int,
    sram: SramChoice,
    costs: tuple[BufferCost, ...],
) -> Row:
    """Return the row of one vector size: the published columns, and our own after them.

    Array operations count each MAC twice, as published; see `simulate_layer` for the rest and for errors.

    Args:
        accelerator: Focus with the array of this vector size.
        workload: With counts recorded at this vector size.
        vector_size: Elements per vector.
        sram: Buffer cost model.
        costs: Buffer costs.
    """
    result = simulate_layer(accelerator, workload, sram, costs)
    counts, geometry = workload.counts, workload.geometry
    tokens = 0 if counts is None else int(counts.tokens[BLOCK, GEMMS.index(LAYER)])
    inputs = geometry.heads * geometry.head_dim_elements
    return {
        "block_idx": BLOCK,
        "layer_name": LAYER,
        "layer_cycles": result.total_cycles,
        "stall_cycles": result.stall_cycles,
        "compute_cycles": result.compute_cycles,
        "layer_execution_time": result.seconds,
        "mem_counter_layer": "mem_counter",
        "layer_array_ops": 2 * result.macs,
        "layer_scatter_ops": tokens * geometry.hidden_elements * ceil_div(inputs, vector_size),
        "layer_dense_ops": result.dense_macs,
        "dram_access": result.dram_bytes,
        "dram_energy": result.dram_mj,
        "sram_energy": result.sram_mj,
        "core_energy": result.core_mj,
        "total_energy": result.total_mj,
        "vector_size": vector_size,
        "model": workload.model,
        "dataset": workload.dataset,
        "variant": workload.variant,
        "fidelity": "parity",
        "origin": workload.origin,
        "sram_model": sram_label(costs),
        "hardware": hardware_label(accelerator),
        "focal_version": __version__,
    }
