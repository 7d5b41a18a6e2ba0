"""Design-space runs of Focus (Focus, HPCA 2026, Figure 10) and the tile-length analysis (Figure 13)."""

from __future__ import annotations

from collections.abc import Callable

from focal_common.config import StrictModel
from focal_common.errors import ConfigError, TraceError, near_matches
from focal_simulator.buffer_costs import SramChoice, buffer_costs, sram_label
from focal_simulator.costs.needs import SramModel
from focal_simulator.energy import simulate
from focal_simulator.hardware_files import build_accelerator, hardware_label
from focal_simulator.loading import load_workloads, with_trace
from focal_simulator.output import write_rows
from focal_simulator.report import Report, Request
from focal_simulator.results import Row, natural_key, result_row
from focal_simulator.vector_size_study import layer_row
from focal_simulator.workload import Workload
from focal_traces.root import TraceRoot

__all__ = ["SWEEPS", "run_study"]

_SCATTER_VECTORS = (1, 2, 3, 4, 5)
_FULL = -1


class Sweep(StrictModel):
    """One swept parameter.

    Attributes:
        file: Result table.
        folder: Trace folder with one trace per value; None where the main trace serves all values.
        column: Column of the swept value.
        needs: What must be recorded again for each value, for messages.
        sram: Buffer cost model of the published run.
    """

    file: str
    folder: str | None
    column: str
    needs: str
    sram: SramModel


SWEEPS = {
    "m_tile": Sweep(
        file="dse_a_m_tile_size.csv",
        folder="m_tile_size_dse",
        column="m_tile_size",
        needs="similarity is searched within an m-tile, so counts of one tile size cannot be re-tiled",
        sram="cacti",
    ),
    "vector_size": Sweep(
        file="dse_b_vector_size.csv",
        folder="vector_size_dse",
        column="vector_size",
        needs="similarity depends on the vector size, so it must be recorded anew for each",
        sram="cacti",
    ),
    "block_size": Sweep(
        file="dse_c_block_size.csv",
        folder="block_size_dse",
        column="block_size",
        needs="similarity is searched within a block, so it must be recorded anew for each",
        sram="compiler",
    ),
    "scatter": Sweep(
        file="dse_d_num_scatter_accumulator.csv",
        folder=None,
        column="num_scatter",
        needs="",
        sram="cacti",
    ),
}


def run_study(request: Request, root: TraceRoot) -> Report:
    """Run a sweep or the tile-length analysis.

    Raises:
        ConfigError: Unknown sweep.
        TraceError: The traces it needs are absent, or hold counts where masks are needed.
    """
    if not {"all", "focus"} & set(request.accelerators):
        raise ConfigError("--sweep and --tile-lengths are studies of focus; expected --accelerator focus")
    if request.fidelity != "parity":
        raise ConfigError(
            f"--sweep and --tile-lengths exist in parity only, got --fidelity {request.fidelity}"
        )
    if request.hardware is not None or request.overrides:
        raise ConfigError("--sweep sets the hardware itself; expected no --hardware and no --set")
    if request.tile_lengths:
        from focal_simulator.tile_lengths import run_tile_lengths

        return run_tile_lengths(request, root)
    if request.sweep not in SWEEPS:
        raise ConfigError(f"unknown sweep '{request.sweep}'; {near_matches(request.sweep, SWEEPS)}")
    sweep = SWEEPS[request.sweep]
    workloads = load_workloads(root, list(request.models), list(request.datasets), request.variant)
    order = {pair: place for place, pair in enumerate(root.workloads)}
    make: dict[str, Callable[[Workload, str, SramChoice], Row]] = {
        "m_tile": _m_tile_row,
        "vector_size": _vector_size_row,
        "block_size": _block_size_row,
        "scatter": _scatter_row,
    }
    choice: SramChoice = sweep.sram if request.sram == "auto" else request.sram
    rows = [
        make[request.sweep](workload, value, choice) for workload, value in _cases(sweep, root, workloads)
    ]
    key = ("model", "dataset", "variant", "fidelity", sweep.column)
    path = write_rows(request.output, sweep.file, rows, key, order)
    return Report(rows=[dict(row) for row in rows], tables=[_table(sweep, rows)], paths=[path])


def _cases(sweep: Sweep, root: TraceRoot, workloads: list[Workload]) -> list[tuple[Workload, str]]:
    """Return each workload with the counts of each value."""
    if sweep.folder is None:
        traced = [workload for workload in workloads if workload.counts is not None]
        if not traced:
            raise TraceError(f"{root.path}: the sweep needs a Focus trace in {workloads[0].variant}/")
        return [(workload, str(value)) for workload in traced for value in _SCATTER_VECTORS]
    cases = []
    for workload in workloads:
        for value in sorted(root.variants(sweep.folder, workload.model, workload.dataset), key=natural_key):
            trace = root.open_trace(workload.model, workload.dataset, sweep.folder, value)
            cases.append((with_trace(workload, trace, sweep.folder), value))
    if not cases:
        raise TraceError(
            f"{root.path / sweep.folder}: no traces <model>_<dataset>_<value>; {sweep.needs}, "
            "record one trace per value with 'focal trace'"
        )
    return cases


def _m_tile_row(workload: Workload, value: str, sram: SramChoice) -> Row:
    m_tile = int(value)
    rows = workload.visual_tokens if m_tile == _FULL else m_tile
    return _full_row(workload, [f"tiles.m_tile={rows}"], sram, {"m_tile_size": m_tile}, "capacity")


def _block_size_row(workload: Workload, value: str, sram: SramChoice) -> Row:
    # The published sweep charges the sum of the block's sides, where the main run charges 8.
    sides = [int(side) for side in value.split("x")]
    return _full_row(workload, [f"core.gather_block={sum(sides)}"], sram, {"block_size": value}, "")


def _scatter_row(workload: Workload, value: str, sram: SramChoice) -> Row:
    return _full_row(workload, [f"core.scatter_vectors={value}"], sram, {"num_scatter": int(value)}, "area")


def _vector_size_row(workload: Workload, value: str, sram: SramChoice) -> Row:
    return layer_row(workload, int(value), sram)


def _full_row(workload: Workload, overrides: list[str], sram: SramChoice, extra: Row, buffers: str) -> Row:
    accelerator = build_accelerator("focus", overrides=overrides)
    accelerator.accepts(workload)
    costs = buffer_costs(accelerator, sram)
    if buffers == "area":
        near_array = [cost.area_mm2 for cost in costs if cost.name in ("concentrate_out", "output")]
        extra = {"buffer_area": sum(near_array), **extra}
    if buffers == "capacity":
        extra = {**extra, "total_buffer_capacity": sum(cost.capacity_bytes for cost in costs)}
    result = simulate(accelerator, workload, sram, costs)
    return result_row(
        accelerator,
        "focus",
        workload,
        result,
        "parity",
        sram_label(costs),
        hardware_label(accelerator),
        **extra,
    )


def _table(sweep: Sweep, rows: list[Row]) -> object:
    from rich.table import Table

    cycles = "total_cycles" if "total_cycles" in rows[0] else "layer_cycles"
    table = Table(title=f"Focus against {sweep.column}")
    for name in ("workload", sweep.column, "cycles", "energy (mJ)"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            f"{row.get('model', '')}/{row.get('dataset', '')}",
            str(row[sweep.column]),
            f"{float(row[cycles]):,.0f}",
            f"{float(row['total_energy']):,.4g}",
        )
    return table
