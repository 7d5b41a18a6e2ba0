"""``meta_data.csv``: which workloads a trace root holds."""

from __future__ import annotations

from dataclasses import dataclass

from focal_common.errors import TraceError
from focal_traces.tables.table import Cells, PairTable

__all__ = ["META_COLUMNS", "WORKLOADS", "Workload"]

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
