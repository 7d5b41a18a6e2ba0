"""The published tables of Figure 10 (Focus, HPCA 2026) from the packaged studies ``dse_a`` to ``dse_d``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from focal_common.errors import TraceError
from focal_simulator.accelerators.base import Accelerator
from focal_simulator.accelerators.focus.vector_layer import BLOCK, LAYER
from focal_simulator.accelerators.presets import build_accelerator, hardware_label
from focal_simulator.costs.buffer_costs import SramChoice, buffer_costs, sram_label
from focal_simulator.engine.parity.level import simulate, simulate_layer, with_published_core
from focal_simulator.results.output import write_rows
from focal_simulator.results.published_layout import DESIGN_COLUMNS, DESIGN_TABLE, STUDIES
from focal_simulator.results.rows import RUN_KEY, Row, result_row
from focal_simulator.sweep.axes import METHOD
from focal_simulator.sweep.study import Study, read_study
from focal_simulator.workload.arithmetic import ceil_div
from focal_simulator.workload.loading import load_workloads, with_trace
from focal_simulator.workload.workload import Workload
from focal_traces.header.schema import GEMMS
from focal_traces.root.root import TraceRoot


def write_sweeps(root: TraceRoot, output: Path) -> Path:
    """Write the table of all four design spaces; see `sweep_rows` for errors.

    Args:
        root: Trace root.
        output: Folder; rows of an earlier run are replaced.
    """
    order = {pair: place for place, pair in enumerate(root.workloads)}
    key = ("study", "value", *RUN_KEY)
    for study in STUDIES:
        # One after the other: a root may lack the traces of a later one.
        write_rows(output, DESIGN_TABLE, sweep_rows(study, root), key, order)
    return output / DESIGN_TABLE


def sweep_rows(name: str, root: TraceRoot) -> list[Row]:
    """Return the rows of a packaged study, one for each value with a trace.

    Columns are `DESIGN_COLUMNS`, then those of a result row.

    Args:
        name: Of `STUDIES`.
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
        overrides = [f"{field}={value}" for field, value in {**study.overrides, **hardware}.items()]
        rows.append(
            design_row(name, label, build_accelerator("focus", overrides=overrides), traced, study.sram)
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


def design_row(
    study: str, value: str, accelerator: Accelerator[Any], workload: Workload, sram: SramChoice
) -> Row:
    """Return the row of one design, as of `sweep_rows`.

    Args:
        study: Of `STUDIES`; that of vector sizes times one layer.
        value: Of what is swept.
        accelerator: Focus with the hardware of this value.
        workload: With the counts of this value.
        sram: Buffer cost model.

    Raises:
        UnsupportedError: The accelerator does not accept the workload.
    """
    accelerator.accepts(workload)
    is_layer = STUDIES[study][1] == "vector_size"
    costs = buffer_costs(with_published_core(accelerator) if is_layer else accelerator, sram)
    row: Row = dict.fromkeys(DESIGN_COLUMNS, "")
    row |= {"study": study, "value": value}
    swept = STUDIES[study][1]
    if swept == "vector_size":
        result = simulate_layer(accelerator, workload, sram, costs)
        row |= {"layer": f"{BLOCK}.{LAYER}", "scatter_operations": _scatter_operations(workload, int(value))}
    else:
        result = simulate(accelerator, workload, sram, costs)
    if swept == "m_tile_size":
        row["buffer_bytes"] = sum(cost.capacity_bytes for cost in costs)
    if swept == "num_scatter":
        row["output_buffers_mm2"] = sum(
            cost.area_mm2 for cost in costs if cost.name in ("concentrate_out", "output")
        )
    return row | result_row(
        "focus",
        workload,
        result,
        fidelity="parity",
        origin=workload.origin,
        sram_model=sram_label(costs),
        hardware=hardware_label(accelerator, costs),
    )


def _scatter_operations(workload: Workload, vector_size: int) -> int:
    """Return the additions of the scatter accumulators in the one layer of the vector-size sweep."""
    counts, geometry = workload.counts, workload.geometry
    tokens = 0 if counts is None else int(counts.tokens[BLOCK, GEMMS.index(LAYER)])
    slices = ceil_div(geometry.heads * geometry.head_dim_elements, vector_size)
    return int(tokens * geometry.hidden_elements * slices)
