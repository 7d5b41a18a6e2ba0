"""``meta_data.csv``: which workloads a trace root holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from focal_common.errors import TraceError
from focal_traces.tables.table import Cells, Key, PairTable

__all__ = ["META_COLUMNS", "WORKLOADS", "Workload", "read_workloads", "upsert_workload"]

META_COLUMNS = ("Model", "Dataset", "Sequence length", "Num frames", "Num patches", "Median index")


@dataclass(frozen=True, slots=True)
class Workload:
    """One row of ``meta_data.csv``.

    Attributes:
        model: Model name.
        dataset: Task name.
        visual_tokens: S, called "Sequence length" in the table; at least frames x patches.
        frames: F.
        patches: P, tokens per frame.
        median_index: Sample that was traced; None where the cell is empty.
    """

    model: str
    dataset: str
    visual_tokens: int
    frames: int
    patches: int
    median_index: int | None


def _parse(cells: Cells) -> Workload:
    found = Workload(
        cells.text("Model"),
        cells.text("Dataset"),
        visual_tokens=cells.count("Sequence length", 1),
        frames=cells.count("Num frames", 1),
        patches=cells.count("Num patches", 1),
        median_index=cells.count("Median index", 0) if cells.text("Median index") else None,
    )
    if found.visual_tokens < found.frames * found.patches:
        raise TraceError(
            f"{cells.where}: 'Sequence length' is {found.visual_tokens}, expected at least 'Num frames' "
            f"x 'Num patches' = {found.frames * found.patches}"
        )
    return found


def _texts(workload: Workload) -> tuple[str, ...]:
    index = "" if workload.median_index is None else str(workload.median_index)
    return str(workload.visual_tokens), str(workload.frames), str(workload.patches), index


WORKLOADS = PairTable("meta_data.csv", META_COLUMNS, _parse, _texts)


def read_workloads(path: Path) -> dict[Key, Workload]:
    """Read ``meta_data.csv`` in file order; raises as `PairTable.read`, or where S is below frames x patches."""
    return WORKLOADS.read(path)


def upsert_workload(root: Path, workload: Workload, extra: Mapping[str, str] | None = None) -> None:
    """Write the row of ``meta_data.csv``; see `PairTable.upsert`."""
    WORKLOADS.upsert(root, workload.model, workload.dataset, workload, extra)
