"""CMC, ASPLOS 2024: absolute differences with the reference frame of each interval of 8 frames."""

from __future__ import annotations

from dataclasses import dataclass

from focal_traces.methods.selection import SelectionContext, SelectionWork, unknown
from focal_traces.tables.table import PairTable

_INTERVAL_FRAMES = 8  # source: published artifact


@dataclass(frozen=True, slots=True)
class CmcSparsity:
    """Shares that the codec leaves out, mean over prefills, in [0, 1).

    Attributes:
        linear: Inputs of linear layers.
        query: Queries.
        attention_score: Attention probabilities.
    """

    linear: float
    query: float
    attention_score: float


_SHARES = ("linear_sparsity", "query_sparsity", "attn_score_sparsity")

SPARSITY = PairTable(
    "cmc_sparsity.csv",
    ("Model", "Dataset", *_SHARES),
    lambda cells: CmcSparsity(*(cells.sparsity(name) for name in _SHARES)),
    lambda row: tuple(repr(float(value)) for value in (row.linear, row.query, row.attention_score)),
)


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
