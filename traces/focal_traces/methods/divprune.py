"""DivPrune, CVPR 2025: cosine distances of all visual tokens from one another, before layer 0."""

from __future__ import annotations

from focal_traces.methods.selection import SelectionContext, SelectionWork, unknown

__all__ = ["work"]


def work(context: SelectionContext) -> SelectionWork:
    """Count norms and the products of all pairs; choosing compares, and multiplies nothing."""
    grid, tokens = context.sample.grid, context.sample.visual_tokens
    if "scope" not in context.parameters or grid is None:
        return unknown("the pools of DivPrune")
    pools = grid.frames if context.parameters["scope"] == "picture" else 1
    pairs = pools * -((-tokens // pools) ** 2)
    return SelectionWork(
        (pairs + tokens) * context.geometry.hidden_elements, "norms, and dot products of all pairs of a pool"
    )
