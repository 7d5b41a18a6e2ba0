"""SparseVLM, ICML 2025: text tokens rate visual ones, dropped ones are clustered."""

from __future__ import annotations

from focal_traces.methods.selection import SelectionContext, SelectionWork, unknown

__all__ = ["work"]

_RECYCLED_SHARE = 0.3  # source: published code


def work(context: SelectionContext) -> SelectionWork:
    """Count rater scores, attention rows of at most all trailing text, and distances of recycled tokens."""
    if "pruning_layers" not in context.parameters:
        return unknown("the pruning layers of SparseVLM")
    layers, hidden = sorted(set(context.parameters["pruning_layers"])), context.geometry.hidden_elements
    text = context.sample.query_tokens
    total = context.sample.visual_tokens * text * hidden if layers else 0
    for layer in layers:
        before = context.present(layer, "q_proj")
        total += text * (context.text_tokens + before) * context.query_elements
        if context.parameters.get("version") != "2.0":
            recycled = int(_RECYCLED_SHARE * max(0, before - context.present(layer + 1, "q_proj")))
            total += recycled * recycled * hidden
    return SelectionWork(
        total, "rater scores, attention rows of all trailing text, distances of recycled tokens"
    )
