"""Figure 9(a) of the Focus paper (HPCA 2026): speed-up over the dense systolic array."""

from __future__ import annotations

from typing import Any

import pandas as pd

from focal_evaluation.claims.claims import Claim
from focal_evaluation.claims.results import Results
from focal_evaluation.exhibits.base import Exhibit, ExhibitTable
from focal_evaluation.exhibits.charts import foot, grouped_bars, legend_above, methods_of
from focal_evaluation.exhibits.shared_rows import geomean_rows, grid, origin_notes, video_rows, with_gpu
from focal_evaluation.exhibits.style import PAGE_INCHES, new_figure
from focal_simulator.results.ratios import SPEEDUP


def table(results: Results) -> ExhibitTable:
    """Return the speed-up of every method on every video workload, and the geometric mean."""
    rows = with_gpu(results, video_rows(results))
    # The ablation has a figure of its own.
    rows = rows[rows["method"] != "focus_sec_only"]
    frame = grid(results.folder, rows, SPEEDUP)
    frame = pd.concat([frame, geomean_rows(frame, SPEEDUP)], ignore_index=True)
    return ExhibitTable(frame, origin_notes(results, frame))


def bars(axis: Any, frame: pd.DataFrame) -> None:
    """Draw the bars, with the dense array as a line at 1."""
    grouped_bars(axis, frame, SPEEDUP, methods_of(frame))
    axis.axhline(1.0, color="black", linewidth=0.6, linestyle="--")
    axis.set_ylabel("Speed-up over\nsystolic array [x]")


def draw(made: ExhibitTable) -> Any:
    """Return the figure."""
    figure = new_figure(PAGE_INCHES, 2.1)
    axis = figure.subplots()
    bars(axis, made.frame)
    legend_above(axis, methods_of(made.frame), 7)
    foot(figure, made.notes)
    return figure


def _claims(claim: Claim) -> bool:
    return claim.exhibit == "fig_9a" or (claim.exhibit == "abstract" and claim.quantity.startswith("speedup"))


EXHIBIT = Exhibit(
    name="fig9a",
    title="Figure 9(a): speed-up over the dense systolic array",
    needs=frozenset({"main"}),
    claims=_claims,
    table=table,
    draw=draw,
)
