"""Figure 12 of the Focus paper (HPCA 2026): DRAM access and input activations relative to the dense array."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from focal_evaluation.claims.results import Results
from focal_evaluation.exhibits.base import DONE, Exhibit, ExhibitTable, answers
from focal_evaluation.exhibits.charts import foot, legend_above, methods_of
from focal_evaluation.exhibits.shared_rows import grid, origin_notes, relative_to_dense, video_rows
from focal_evaluation.exhibits.style import COLUMN_INCHES, colour, hatch, new_figure, short

RATIO = "bytes_over_dense"
_MEAN = "mean"


def _table(results: Results, column: str) -> ExhibitTable:
    """Return, by model and method, the geometric mean over datasets relative to dense, and the mean of models.

    The quotient of geometric means is the geometric mean of quotients, so ratios are averaged.
    """
    rows = video_rows(results)
    rows = rows[rows["method"] != "focus_sec_only"].reset_index(drop=True)
    cells = grid(results.folder, rows.assign(**{RATIO: relative_to_dense(rows, column)}), RATIO)
    records = []
    methods = methods_of(cells)
    for method in methods:
        means = []
        for model in dict.fromkeys(cells["model"]):
            part = cells[(cells["model"] == model) & (cells["method"] == method)]
            absent = part.loc[part["status"] != DONE, "status"]
            value = np.nan if len(absent) else float(np.exp(np.log(part[RATIO]).mean()))
            means.append(value)
            records.append(_record(model, method, value, part, DONE if absent.empty else str(absent.iloc[0])))
        whole = cells[cells["method"] == method]
        mean = float(np.exp(np.mean(np.log(means))))
        records.append(
            _record(_MEAN, method, mean, whole, DONE if np.isfinite(mean) else "a model is absent")
        )
    frame = pd.DataFrame(records)
    order = {name: place for place, name in enumerate([*dict.fromkeys(cells["model"]), _MEAN])}
    frame = frame.sort_values("model", key=lambda names: names.map(order), kind="stable", ignore_index=True)
    return ExhibitTable(frame, origin_notes(results, cells))


def _record(model: str, method: str, value: float, part: pd.DataFrame, status: str) -> dict[str, Any]:
    origins = "; ".join(sorted({one for one in part["origin"] if one}))
    return {"model": model, "method": method, RATIO: value, "origin": origins, "status": status}


def memory_bars(axis: Any, frame: pd.DataFrame) -> None:
    """Draw one group of bars per model."""
    methods = methods_of(frame)
    models = list(dict.fromkeys(frame["model"]))
    width = 0.82 / len(methods)
    for number, method in enumerate(methods):
        offset = (number - (len(methods) - 1) / 2) * width
        for row in frame[frame["method"] == method].to_dict("records"):
            place = models.index(row["model"]) + offset
            if row["status"] != DONE:
                axis.plot(place, 0.02, marker="x", color="#D55E00", transform=axis.get_xaxis_transform())
                continue
            axis.bar(
                place,
                row[RATIO],
                0.92 * width,
                color=colour(method),
                hatch=hatch(method),
                edgecolor="black",
                linewidth=0.25,
            )
            if method != "dense":
                axis.text(place, row[RATIO], f"{row[RATIO]:.2f}", ha="center", va="bottom", fontsize=5.0)
    axis.set_xticks(range(len(models)), [short(name) for name in models])
    axis.tick_params(axis="x", length=0)
    axis.set_ylim(0, 1.08)
    axis.grid(axis="y")


def _exhibit(name: str, title: str, what: str, column: str, claims: str) -> Exhibit:
    def draw(made: ExhibitTable) -> Any:
        figure = new_figure(COLUMN_INCHES, 1.95)
        axis = figure.subplots()
        memory_bars(axis, made.frame)
        axis.set_ylabel(f"{what}\nrelative to dense [-]")
        legend_above(axis, methods_of(made.frame), 4)
        foot(figure, made.notes)
        return figure

    return Exhibit(
        name=name,
        title=title,
        needs=frozenset({"main"}),
        claims=answers(fig_12=claims),
        table=lambda results: _table(results, column),
        draw=draw,
    )


FIG12A = _exhibit("fig12a", "Figure 12(a): DRAM access", "DRAM access", "dram_bytes", "dram")
FIG12B = _exhibit(
    "fig12b", "Figure 12(b): input activations", "Input activations", "activation_bytes", "activation"
)
