"""Focus, HPCA 2026, sec. IV (importance) and V (matching)."""

from __future__ import annotations

from dataclasses import dataclass

from focal_common.errors import ConfigError, TraceError
from focal_traces.header.schema import GEMMS
from focal_traces.methods.selection import SelectionContext, SelectionWork, unknown
from focal_traces.synthetic.schedule import Schedule
from focal_traces.tables.table import Cells, PairTable


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """One row of ``schedules.csv``.

    Attributes:
        schedule: Selected layers and fractions.
        similarity_threshold: Cosine above which two vectors are similar, in (0, 1].
    """

    schedule: Schedule
    similarity_threshold: float


def _parse(cells: Cells) -> ScheduleRow:
    """Return a row; lists are bracketed text."""
    threshold = cells.threshold("similarity_threshold")
    layers, alphas = cells.numbers("selected_layers"), cells.numbers("alpha_list")
    if any(layer != int(layer) for layer in layers):
        raise TraceError(f"{cells.where}: 'selected_layers' must be whole numbers, got {layers}")
    try:
        return ScheduleRow(Schedule(tuple(int(layer) for layer in layers), tuple(alphas)), threshold)
    except ConfigError as error:
        raise TraceError(f"{cells.where}: {error}") from error


SCHEDULES = PairTable(
    "schedules.csv",
    ("model", "dataset", "selected_layers", "alpha_list", "similarity_threshold"),
    _parse,
    fallback=("default", ""),
)


def work(context: SelectionContext) -> SelectionWork:
    """Count attention rows of the trailing text, and dot products with the candidates of the search block."""
    parameters, grid = context.parameters, context.sample.grid
    if "selected_layers" not in parameters or grid is None:
        return unknown("the schedule of Focus")
    layers = context.layers("selected_layers")
    keys = sum(context.text_tokens + context.present(layer, "q_proj") for layer in layers)
    importance = context.sample.query_tokens * keys * context.query_elements
    if parameters.get("sec_only"):
        return SelectionWork(importance, "attention rows of the trailing text at selected layers")
    block = context.whole("block_size", 2)
    candidates = min(context.whole("frame_block_size", 2), grid.frames) * block * block - 1
    # One norm per vector beside its candidates.
    matching = sum(
        int(context.tokens[:, place].sum()) * context.geometry.input_elements(gemm) * (candidates + 1)
        for place, gemm in enumerate(GEMMS)
    )
    return SelectionWork(
        importance + matching,
        f"attention rows of the trailing text, and {candidates} dot products and a norm per vector",
    )
