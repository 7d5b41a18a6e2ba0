"""CMC, ASPLOS 2024: absolute differences with the reference frame of each interval of 8 frames."""

from __future__ import annotations

from focal_traces.work.selection.base import SelectionContext, SelectionWork, unknown

__all__ = ["work"]

_INTERVAL_FRAMES = 8  # source: published artifact


def work(context: SelectionContext) -> SelectionWork:
    """Count absolute differences over embeddings, queries and rows of probabilities; no early exit."""
    grid, parameters = context.sample.grid, context.parameters
    if grid is None or "threshold" not in parameters:
        return unknown("the frames or thresholds of CMC")
    patches = context.sample.visual_tokens // grid.frames
    others = grid.frames - -(-grid.frames // _INTERVAL_FRAMES)
    pairs = others * patches * (1 if parameters.get("is_simplified") else patches)
    geometry, layers = context.geometry, context.geometry.layers
    widths = 0
    if parameters["threshold"]:
        widths += geometry.hidden_elements
    if parameters.get("query_threshold"):
        widths += layers * context.query_elements
    if parameters.get("attn_threshold"):
        widths += (layers - 1) * geometry.heads * context.sample.sequence_tokens
    return SelectionWork(pairs * widths, "absolute differences of the full search, without early exit")
