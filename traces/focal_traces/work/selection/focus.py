"""Focus, HPCA 2026, sec. IV (importance) and V (matching)."""

from __future__ import annotations

from focal_traces.header.schema import GEMMS
from focal_traces.work.selection.base import SelectionContext, SelectionWork, unknown

__all__ = ["work"]


def work(context: SelectionContext) -> SelectionWork:
    """Count attention rows of the trailing text, and dot products with the candidates of the search block."""
    parameters, grid = context.parameters, context.sample.grid
    if "selected_layers" not in parameters or grid is None:
        return unknown("the schedule of Focus")
    keys = sum(
        context.text_tokens + context.present(layer, "q_proj") for layer in parameters["selected_layers"]
    )
    importance = context.sample.query_tokens * keys * context.query_elements
    if parameters.get("sec_only"):
        return SelectionWork(importance, "attention rows of the trailing text at selected layers")
    block = parameters.get("block_size", 2)
    candidates = min(parameters.get("frame_block_size", 2), grid.frames) * block * block - 1
    # One norm per vector beside its candidates.
    matching = sum(
        int(context.tokens[:, place].sum()) * context.geometry.input_elements(gemm) * (candidates + 1)
        for place, gemm in enumerate(GEMMS)
    )
    return SelectionWork(
        importance + matching,
        f"attention rows of the trailing text, and {candidates} dot products and a norm per vector",
    )
