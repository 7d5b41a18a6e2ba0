"""Makes workloads from a trace root or a lone trace file."""

from __future__ import annotations

from dataclasses import replace

from focal_common.errors import TraceError, near_matches
from focal_common.places import plain_name
from focal_common.provenance import Origin
from focal_simulator.workload.workload import Workload
from focal_traces.counts.trace import Trace
from focal_traces.header.published import MAIN_FOLDER
from focal_traces.methods import method_tables
from focal_traces.root.root import TraceRoot
from focal_traces.tables.table import Workload as WorkloadRow


def load_workloads(
    root: TraceRoot, models: list[str], datasets: list[str], variant: str = MAIN_FOLDER
) -> list[Workload]:
    """Return the workloads of a trace root in the order of its ``meta_data.csv``.

    Args:
        root: Folder or lone trace.
        models: Names to keep; empty keeps all.
        datasets: Names to keep; empty keeps all.
        variant: Trace folder whose counts are used.

    Raises:
        TraceError: A requested name or pair has no row (with near matches), the variant has no folder, a table is
            wrong, or a trace contradicts the table.
    """
    plain_name(variant, "trace folder", TraceError)
    if root.path.is_dir() and variant != MAIN_FOLDER and not (root.path / variant).is_dir():
        folders = [place.name for place in root.path.iterdir() if place.is_dir()]
        raise TraceError(f"{root.path}: has no trace folder '{variant}'; {near_matches(variant, folders)}")
    for model in models:
        for dataset in datasets:
            root.workload(model, dataset)
    for kind, asked, known in (
        ("model", models, {model for model, _ in root.workloads}),
        ("dataset", datasets, {dataset for _, dataset in root.workloads}),
    ):
        for name in asked:
            if name not in known:
                raise TraceError(f"{root.path}: no workload of {kind} '{name}'; {near_matches(name, known)}")
    rows = [
        row
        for (model, dataset), row in root.workloads.items()
        if (not models or model in models) and (not datasets or dataset in datasets)
    ]
    if not rows:
        raise TraceError(f"{root.path}: the trace root lists no workload")
    return [_workload(root, row, variant) for row in rows]


def with_trace(workload: Workload, trace: Trace, variant: str) -> Workload:
    """Return the workload with geometry, origin and counts of a trace."""
    origin = trace.header.origin
    # A stand-in replaces unpublished counts only; its tables stay those of the publication.
    tables: Origin = "published" if origin == "synthetic, calibrated" else origin
    sample = trace.chosen_sample()
    return replace(
        workload,
        geometry=trace.header.geometry,
        counts=trace.totals(sample),
        tiles=trace.samples[sample],
        origin=origin,
        table_origin=tables,
        variant=variant,
        recorded_m_tile=trace.header.m_tile,
        recorded_vector_size=trace.header.vector_size,
        shape=trace.header.model_shape,
        method=trace.header.method,
        parameters=trace.header.parameters,
        quantization=trace.header.quantization,
    )


def _workload(root: TraceRoot, row: WorkloadRow, variant: str) -> Workload:
    key = (row.model, row.dataset)
    rows = {table.file: root.row(table, *key) for table in method_tables()}
    workload = Workload(
        model=row.model,
        dataset=row.dataset,
        visual_tokens=row.visual_tokens,
        frames=row.frames,
        patches=row.patches,
        tables={file: found for file, found in rows.items() if found is not None},
        variant=variant,
    )
    if root.find_trace(row.model, row.dataset, variant) is None:
        # The decoder is the same whichever method was traced; counts of another method would not be.
        other = root.folder_with_trace(row.model, row.dataset)
        if other is None:
            return workload
        known = with_trace(workload, root.open_trace(row.model, row.dataset, other), variant)
        return replace(workload, geometry=known.geometry, table_origin=known.table_origin)
    return with_trace(workload, root.open_trace(row.model, row.dataset, variant), variant)
