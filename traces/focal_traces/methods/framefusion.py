"""FrameFusion, ICCV 2025: cosines with the previous frame in each round, then one row of attention."""

from __future__ import annotations

from focal_traces.methods.selection import SelectionContext, SelectionWork

__all__ = ["work"]


def work(context: SelectionContext) -> SelectionWork:
    """Count cosines of every round up to the last change of the token count, and the pruning row after them."""
    layers = range(context.geometry.layers)
    rounds = [context.sample.visual_tokens, *(context.present(layer, "query") for layer in layers)]
    left = [context.present(layer, "query") for layer in layers] + [context.present(layers[-1], "gate_proj")]
    changes = [
        place for place, (before, after) in enumerate(zip(rounds, left, strict=True)) if before != after
    ]
    last = changes[-1] if changes else 0
    merging = sum(2 * tokens * context.geometry.hidden_elements for tokens in rounds[: last + 1])
    pruning = (context.text_tokens + rounds[last]) * context.query_elements
    return SelectionWork(
        merging + pruning,
        "dot product and norm per token and round up to the last change, one row of attention",
    )
