"""Small traces that many tests of focal_traces start from."""

from __future__ import annotations

from typing import Any

from focal_traces.counts.trace import Trace
from focal_traces.header.schema import GEMMS, DecoderGeometry, TokenGrid
from focal_traces.masks.masks import MaskTrace, trace_from_masks
from focal_traces.synthetic.schedule import Schedule
from synthetic_traces import SyntheticInput, synthetic_masks

TINY = DecoderGeometry(
    layers=3, hidden_elements=8, intermediate_elements=20, heads=2, kv_heads=1, head_dim_elements=4
)
GRID = TokenGrid(frames=3, rows=2, columns=3, frame_stride=6, row_stride=3, column_stride=1)


def tiny_input(**changes: Any) -> SyntheticInput:
    fields: dict[str, Any] = {
        "geometry": TINY,
        "grid": GRID,
        "schedule": Schedule((0, 2), (0.7, 0.4)),
        "similarity": dict.fromkeys(GEMMS, 0.6),
        "vector_size": 4,
        "m_tile": 5,
        "samples": 2,
        "seed": 1,
    }
    return SyntheticInput(**(fields | changes))


def tiny_masks(**changes: Any) -> MaskTrace:
    return synthetic_masks(tiny_input(**changes))


def tiny_trace(**changes: Any) -> Trace:
    return trace_from_masks(tiny_masks(**changes))
