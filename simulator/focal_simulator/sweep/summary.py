"""What a finished study says on the terminal and in small files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from focal_common.commit import seal_folder
from focal_common.files import atomic_write_text
from focal_common.provenance import package_versions
from focal_simulator.results.rows import table_text
from focal_simulator.sweep.rows import FAILED, INFEASIBLE, OK, Row
from focal_simulator.sweep.run import SweepResult
from focal_simulator.sweep.study import Objective

_MOST_ROWS = 20


def report(result: SweepResult) -> dict[str, Any]:
    """Return the JSON-like summary of a study; it holds no clock, so equal studies give equal content."""
    front = result.front
    study = result.plan.study
    return {
        "name": study.name,
        "kind": study.kind,
        "fidelity": study.fidelity,
        "accelerator": result.plan.accelerator,
        "study_sha256": result.plan.sha256,
        "grid_points": result.plan.space.size,
        "points": len(result.rows),
        **{status: result.counts[status] for status in (OK, INFEASIBLE, FAILED)},
        "failures": sorted({row["reason"] for row in result.rows if row["status"] == FAILED})[:10],
        "remarks": sum(bool(row["remarks"]) for row in result.rows),
        "counts": result.origins,
        "metric_sources": {name: result.plan.source(name) for name in result.given_metrics},
        "objectives": [objective.model_dump(mode="json") for objective in study.objectives],
        "front_points": [row["index"] for row in front.rows],
        "knee_point": front.knee["index"],
        "hypervolume": front.hypervolume,
        "hypervolume_reference": [
            objective.sign * float(corner)
            for objective, corner in zip(study.objectives, front.reference, strict=True)
        ],
        "code_versions": sorted({row["code_version"] for row in result.rows}),
        "versions": package_versions("numpy", "pyarrow", "scipy", "optuna"),
    }


def write_files(
    result: SweepResult, draw: Callable[[SweepResult, Path], list[Path]] | None = None
) -> list[Path]:
    """Write the front as CSV, the summary, and the figures; return all paths with the results first.

    Args:
        result: A finished study.
        draw: Draws it into a folder and returns the paths; drawing stands above the simulator. None leaves it out.

    Raises:
        RunError: The folder cannot be written.
    """
    folder = result.folder.path
    rows = result.front.rows
    # Columns of other workloads make the file wide and stay in the Parquet file.
    columns = [name for name in rows[0] if ":" not in name]
    atomic_write_text(
        folder / "front.csv",
        table_text(columns, [{name: _cell(row[name]) for name in columns} for row in rows]),
    )
    summary = json.dumps(report(result), indent=1, sort_keys=True) + "\n"
    atomic_write_text(folder / "summary.json", summary)
    paths = [result.folder.results, folder / "front.csv", folder / "summary.json"]
    if draw is not None:
        paths += draw(result, folder)
    beside = [folder / "study.json", folder / "answers.parquet", folder / "inherited.parquet"]
    sealed = [*paths, *(path for path in beside if path.is_file())]
    # Written last: a study with a manifest is whole.
    seal_folder(folder, {"name": result.plan.study.name, "study_sha256": result.plan.sha256}, sealed)
    return paths


def front_table(result: SweepResult) -> Any:
    """Return the front as a table for the terminal, the knee marked."""
    from rich.table import Table

    study, front = result.plan.study, result.front
    shown = front.rows if len(front.rows) <= _MOST_ROWS else _thinned(front.rows, front.knee)
    axes = [axis.label for axis in study.axes]
    table = Table(
        title=f"{study.name}: Pareto front, {len(front.rows)} of {len(result.feasible)} feasible points"
    )
    table.add_column("point", justify="right")
    for name in [*axes, *(_heading(result, one) for one in study.objectives)]:
        table.add_column(name, justify="right")
    for row in shown:
        mark = " knee" if row is front.knee else ""
        cells = [f"{row['index']}{mark}", *(_short(row[name]) for name in axes)]
        table.add_row(*cells, *(_short(row[one.metric]) for one in study.objectives))
    return table


def _heading(result: SweepResult, objective: Objective) -> str:
    """Return an objective with what a reader must know of it; simulated metrics have their unit in their name."""
    source = result.plan.source(objective.metric)
    if not source:
        return f"{objective.metric} ({objective.goal})"
    return f"{objective.metric} in {result.plan.unit(objective.metric)} ({objective.goal}; {source})"


def _thinned(rows: list[Row], knee: Row) -> list[Row]:
    step = len(rows) / _MOST_ROWS
    kept = {id(rows[int(place * step)]) for place in range(_MOST_ROWS)} | {id(knee), id(rows[-1])}
    return [row for row in rows if id(row) in kept]


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _cell(value: Any) -> Any:
    return "" if value is None else value
