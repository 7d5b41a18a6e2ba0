"""AdapTiV, MICRO 2024: signs of each token against its upper and left neighbour, once."""

from __future__ import annotations

from focal_traces.methods.selection import SelectionContext, SelectionWork
from focal_traces.tables.table import PairTable

SPARSITY = PairTable(
    "adaptiv_sparsity.csv",
    ("Model", "Dataset", "Sparsity"),
    lambda cells: cells.sparsity("Sparsity"),
    lambda sparsity: (repr(float(sparsity)),),
)
"""Merged tokens over all visual tokens, mean over prefills, in [0, 1)."""


def work(context: SelectionContext) -> SelectionWork:
    """Count sign comparisons, one per element and neighbour."""
    compared = 2 * context.sample.visual_tokens * context.geometry.hidden_elements
    return SelectionWork(compared, "one-bit sign comparisons with two neighbours, at layer 0")
