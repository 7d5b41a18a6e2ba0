"""Figure 11 of the Focus paper (HPCA 2026): what each concentrator adds."""

from __future__ import annotations

from typing import Any

from focal_common.errors import TraceError
from focal_evaluation.claims.results import Results
from focal_evaluation.exhibits.base import Exhibit, ExhibitTable, answers
from focal_evaluation.exhibits.charts import foot
from focal_evaluation.exhibits.shared_rows import geomean_rows, grid, origin_notes, video_rows
from focal_evaluation.exhibits.style import COLUMN_INCHES, colour, hatch, new_figure, short
from focal_simulator.results.ratios import SPEEDUP

LABELS = {
    "dense": "Dense",
    "cmc": "CMC",
    "focus_sec_only": "Focus,\nSEC only",
    "focus": "Focus,\nSEC + SIC",
}
_MODEL = "llava_vid"


def table(results: Results) -> ExhibitTable:
    """Return the geometric mean over the video workloads of LLaVA-Video, or of the first model there is."""
    rows = video_rows(results)
    rows = rows[rows["method"].isin(list(LABELS))]
    if rows.empty:
        raise TraceError(f"{results.folder}: holds no row of {', '.join(LABELS)}")
    model = _MODEL if (rows["model"] == _MODEL).any() else str(rows["model"].iloc[0])
    rows = rows[rows["model"] == model].reset_index(drop=True)
    frame = grid(results.folder, rows, SPEEDUP)
    mean = geomean_rows(frame, SPEEDUP)
    if mean.empty:
        # One workload is its own mean.
        mean = frame
    mean = mean.assign(model=model)
    workloads = rows["dataset"].nunique()
    note = f"{short(model)}, geometric mean of {workloads} workload{'s' if workloads > 1 else ''}."
    return ExhibitTable(mean.reset_index(drop=True), (note, *origin_notes(results, frame)))


def draw(made: ExhibitTable) -> Any:
    """Return the figure."""
    figure = new_figure(COLUMN_INCHES, 1.75)
    axis = figure.subplots()
    frame = made.frame
    for place, row in enumerate(frame.to_dict("records")):
        value = row[SPEEDUP]
        method = row["method"]
        axis.barh(
            place, value, 0.66, color=colour(method), hatch=hatch(method), edgecolor="black", linewidth=0.3
        )
        axis.text(value, place, f" {value:.2f}\u00d7", va="center", fontsize=6.5)
    axis.set_yticks(range(len(frame)), [LABELS[name] for name in frame["method"]])
    axis.invert_yaxis()
    axis.set_xlim(0, 1.18 * frame[SPEEDUP].max())
    axis.set_xlabel("Speed-up over the dense systolic array [x]")
    axis.grid(axis="x")
    foot(figure, made.notes)
    return figure


EXHIBIT = Exhibit(
    name="fig11",
    title="Figure 11: ablation",
    needs=frozenset({"main"}),
    claims=answers("fig_11"),
    table=table,
    draw=draw,
)
