"""Figure 10(d) of the Focus paper (HPCA 2026): number of scatter accumulators."""

from __future__ import annotations

from typing import Any

from focal_common.errors import TraceError
from focal_evaluation.claims.results import Material
from focal_evaluation.exhibits.base import Exhibit, ExhibitTable, answers
from focal_evaluation.exhibits.charts import panels
from focal_evaluation.exhibits.sweeps import bars, line, sweep_frame, sweep_notes

__all__ = ["EXHIBIT"]

_MOST = "5"
_ORDER = ("1", "2", "3", "4", _MOST)
_SWEPT = "num_scatter"
_VECTOR_ELEMENTS = 32
"""Accumulators per scattered vector."""


def table(material: Material) -> ExhibitTable:
    """Return latency relative to most accumulators, and the area of the buffers behind the array."""
    frame = sweep_frame(material, "dse_scatter", _SWEPT, _ORDER, ("total_cycles", "buffer_area"))
    base = frame.loc[frame["value"] == _MOST, "total_cycles"]
    if base.isna().any():
        raise TraceError(
            f"{material.folder}: the scatter sweep lacks cycles of {_MOST}, which latency is relative to"
        )
    frame["latency_over_most"] = frame["total_cycles"] / base.iloc[0]
    frame["accumulators"] = [int(value) * _VECTOR_ELEMENTS for value in frame["value"]]
    frame = frame.rename(columns={"buffer_area": "buffer_area_mm2"})
    columns = [
        "value",
        "accumulators",
        "latency_over_most",
        "buffer_area_mm2",
        "total_cycles",
        "origin",
        "status",
    ]
    return ExhibitTable(frame[columns], sweep_notes(frame, _SWEPT, accuracy=False))


def draw(made: ExhibitTable) -> Any:
    """Return the figure."""
    frame = made.frame
    return panels(
        "Scatter accumulators",
        [str(value) for value in frame["accumulators"]],
        [
            ("Latency\nrel. to 160 [-]", lambda axis: bars(axis, frame["latency_over_most"], digits=3)),
            ("Buffer area\n[mm\u00b2]", lambda axis: line(axis, frame["buffer_area_mm2"], "#009E73", 2, "s")),
        ],
        made.notes,
    )


EXHIBIT = Exhibit(
    name="fig10d",
    title="Figure 10(d): scatter accumulators",
    needs=frozenset({"sweeps"}),
    claims=answers("fig_10d", "dse_scatter"),
    table=table,
    draw=draw,
    fidelities=("parity",),
)
