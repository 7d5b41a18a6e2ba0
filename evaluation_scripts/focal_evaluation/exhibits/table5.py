"""Table V of the Focus paper (HPCA 2026): image models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from focal_evaluation.claims.published import read_accuracies
from focal_evaluation.claims.results import Results
from focal_evaluation.exhibits.base import DONE, Exhibit, ExhibitTable, answers
from focal_evaluation.exhibits.charts import methods_of, table_figure
from focal_evaluation.exhibits.shared_rows import GEOMEAN, geomean_rows, grid, origin_notes, video_rows
from focal_evaluation.exhibits.style import label, short
from focal_simulator.results.ratios import SPEEDUP

_KEYS = ["model", "dataset"]


def table(results: Results) -> ExhibitTable:
    """Return speed-up and published accuracy of every method on every image workload."""
    rows = video_rows(results, is_image=True)
    rows = rows[rows["method"] != "focus_sec_only"].reset_index(drop=True)
    frame = grid(results.folder, rows, SPEEDUP)
    # A method without a single image row has none to lose: CMC is for videos.
    has_row = frame.groupby("method")["status"].transform(lambda states: (states != "not run").any())
    frame = frame[has_row].reset_index(drop=True)
    accuracy = read_accuracies(results.root)
    frame["accuracy"] = [
        accuracy.get((row["method"], "fp16"), {}).get((row["model"], row["dataset"]), np.nan)
        for row in frame.to_dict("records")
    ]
    frame["accuracy_unit"] = ["score" if name == "mme" else "percent" for name in frame["dataset"]]
    mean = geomean_rows(frame, SPEEDUP).assign(accuracy=np.nan, accuracy_unit="")
    frame = pd.concat([frame, mean], ignore_index=True)
    notes = ("Accuracy: published, in %; MME is a score.", *origin_notes(results, frame))
    return ExhibitTable(frame, notes)


def draw(made: ExhibitTable) -> Any:
    """Return the table as a figure."""
    frame = made.frame
    lines = []
    for model, dataset in dict.fromkeys(zip(frame["model"], frame["dataset"], strict=True)):
        cells = {
            "Model": "Geomean" if model == GEOMEAN else short(model),
            "Dataset": short(dataset),
        }
        for method in methods_of(frame):
            part = frame[
                (frame["model"] == model) & (frame["dataset"] == dataset) & (frame["method"] == method)
            ]
            row = part.iloc[0] if len(part) else None
            if method != "dense":
                cells[f"{label(method)}\nspeed-up [x]"] = _cell(row, SPEEDUP)
            cells[f"{'Original' if method == 'dense' else label(method)}\nacc."] = _cell(row, "accuracy")
        lines.append(cells)
    return table_figure(pd.DataFrame(lines), EXHIBIT.title, made.notes, first_columns=2)


def _cell(row: pd.Series | None, column: str) -> str:
    if row is None:
        return ""
    if row["status"] != DONE and column == SPEEDUP:
        return short(str(row["status"]), 20)
    return "" if pd.isna(row[column]) else f"{row[column]:.2f}"


EXHIBIT = Exhibit(
    name="table5",
    title="Table V: speed-up and accuracy on images",
    needs=frozenset({"main"}),
    claims=answers("table_v"),
    table=table,
    draw=draw,
)
