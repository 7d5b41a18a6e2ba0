"""FastV, ECCV 2024: one row of attention, of the last prompt token, in the layer before the drop."""

from __future__ import annotations

from focal_traces.methods.selection import SelectionContext, SelectionWork

__all__ = ["work"]


def work(context: SelectionContext) -> SelectionWork:
    """Count products of one query per head with the keys of all tokens."""
    return SelectionWork(
        context.sample.sequence_tokens * context.query_elements,
        "one row of attention over the whole prompt, beside what the layer computes itself",
    )
