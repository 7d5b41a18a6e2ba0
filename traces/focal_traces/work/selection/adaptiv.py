"""AdapTiV, MICRO 2024: signs of each token against its upper and left neighbour, once."""

from __future__ import annotations

from focal_traces.work.selection.base import SelectionContext, SelectionWork

__all__ = ["work"]


def work(context: SelectionContext) -> SelectionWork:
    """Count sign comparisons, one per element and neighbour."""
    compared = 2 * context.sample.visual_tokens * context.geometry.hidden_elements
    return SelectionWork(compared, "one-bit sign comparisons with two neighbours, at layer 0")
