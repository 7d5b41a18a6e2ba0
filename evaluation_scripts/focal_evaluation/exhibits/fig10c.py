"""Figure 10(c) of the Focus paper (HPCA 2026): size of the block in which similarity is searched."""

from __future__ import annotations

from typing import Any

from focal_common.errors import TraceError
from focal_evaluation.claims.results import Material
from focal_evaluation.exhibits.base import Exhibit, ExhibitTable, answers
from focal_evaluation.exhibits.charts import panels
from focal_evaluation.exhibits.sweeps import bars, line, sweep_frame, sweep_notes

__all__ = ["EXHIBIT"]

_LARGEST = "3x3x3"
_ORDER = tuple(f"{frames}x{side}x{side}" for frames in (1, 2, 3) for side in (1, 2, 3))
_SWEPT = "block_size"


def table(material: Material) -> ExhibitTable:
    """Return latency relative to the largest block, mean compression and published accuracy."""
    frame = sweep_frame(material, "dse_block", _SWEPT, _ORDER, ("total_cycles",))
    base = frame.loc[frame["value"] == _LARGEST, "total_cycles"]
    if base.isna().any():
        raise TraceError(
            f"{material.folder}: the block sweep lacks cycles of {_LARGEST}, which latency is relative to"
        )
    frame["latency_over_largest"] = frame["total_cycles"] / base.iloc[0]
    columns = [
        "value",
        "latency_over_largest",
        "total_compression_ratio",
        "accuracy_percent",
        "total_cycles",
        "origin",
        "status",
    ]
    return ExhibitTable(frame[columns], sweep_notes(frame, _SWEPT))


def draw(made: ExhibitTable) -> Any:
    """Return the figure."""
    frame = made.frame
    return panels(
        "Block: frames x height x width [tokens]",
        list(frame["value"]),
        [
            ("Latency\nrel. to 3x3x3 [-]", lambda axis: bars(axis, frame["latency_over_largest"])),
            ("Accuracy\n[%]", lambda axis: line(axis, frame["accuracy_percent"], "#D55E00", 1, "^")),
        ],
        made.notes,
    )


EXHIBIT = Exhibit(
    name="fig10c",
    title="Figure 10(c): block size",
    needs=frozenset({"sweeps"}),
    claims=answers("fig_10c", "dse_block"),
    table=table,
    draw=draw,
    fidelities=("parity",),
)
