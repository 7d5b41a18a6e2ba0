"""Figure 10(a) of the Focus paper (HPCA 2026): height of the m-tile."""

from __future__ import annotations

from typing import Any

from focal_common.errors import TraceError
from focal_evaluation.claims.results import Material
from focal_evaluation.exhibits.base import Exhibit, ExhibitTable, answers
from focal_evaluation.exhibits.charts import panels
from focal_evaluation.exhibits.sweeps import line, sweep_frame, sweep_notes

__all__ = ["EXHIBIT"]

_FULL = "-1"
_ORDER = (_FULL, "4096", "2048", "1024", "512", "128", "32")
_SWEPT = "m_tile_size"


def table(material: Material) -> ExhibitTable:
    """Return latency relative to a tile of all rows, buffer size and published accuracy."""
    frame = sweep_frame(material, "dse_m_tile", _SWEPT, _ORDER, ("total_cycles", "total_buffer_capacity"))
    base = frame.loc[frame["value"] == _FULL, "total_cycles"]
    if base.isna().any():
        raise TraceError(
            f"{material.folder}: the m-tile sweep lacks cycles of the full tile, which latency is relative to"
        )
    frame["latency_over_full"] = frame["total_cycles"] / base.iloc[0]
    frame["buffer_mib"] = frame["total_buffer_capacity"] / 2**20
    columns = [
        "value",
        "latency_over_full",
        "buffer_mib",
        "accuracy_percent",
        "total_cycles",
        "origin",
        "status",
    ]
    return ExhibitTable(frame[columns], sweep_notes(frame, _SWEPT))


def draw(made: ExhibitTable) -> Any:
    """Return the figure."""
    frame = made.frame
    ticks = ["Full" if value == _FULL else value for value in frame["value"]]
    return panels(
        "Rows of an m-tile",
        ticks,
        [
            ("Latency\nrel. to full [-]", lambda axis: line(axis, frame["latency_over_full"])),
            ("Buffers\n[MiB]", lambda axis: line(axis, frame["buffer_mib"], "#009E73", marker="s")),
            ("Accuracy\n[%]", lambda axis: line(axis, frame["accuracy_percent"], "#D55E00", 1, "^")),
        ],
        made.notes,
    )


EXHIBIT = Exhibit(
    name="fig10a",
    title="Figure 10(a): height of the m-tile",
    needs=frozenset({"sweeps"}),
    claims=answers("fig_10a", "dse_m_tile"),
    table=table,
    draw=draw,
    fidelities=("parity",),
)
