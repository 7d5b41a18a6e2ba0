"""Table II of the Focus paper (HPCA 2026): accuracy and computation sparsity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from focal_evaluation.claims.headlines import FRAMEFUSION_SPARSITY_PERCENT
from focal_evaluation.claims.published import read_accuracies
from focal_evaluation.claims.results import Results
from focal_evaluation.exhibits.base import DONE, Exhibit, ExhibitTable, answers
from focal_evaluation.exhibits.charts import methods_of, table_figure
from focal_evaluation.exhibits.shared_rows import in_order, origin_notes, video_rows
from focal_evaluation.exhibits.style import label, short

SPARSITY, ACCURACY = "sparsity_percent", "accuracy_percent"
_MEAN = "mean"


def sparsities(rows: pd.DataFrame) -> pd.DataFrame:
    """Return MACs saved, in percent of those without compression, by workload and method; dense is left out."""
    methods = [name for name in in_order(rows["method"]) if name != "dense"]
    cells: dict[tuple[str, str, str], Mapping[Any, Any]] = {}
    for row in rows.to_dict("records"):
        cells.setdefault((row["model"], row["dataset"], row["method"]), row)
    records = []
    for model, dataset in dict.fromkeys((model, dataset) for model, dataset, _ in cells):
        for method in methods:
            cell: Mapping[Any, Any] = cells.get((model, dataset, method), {"status": "not run", "origin": ""})
            status, value = cell["status"], np.nan
            if status == DONE and not cell["dense_macs"] > 0:
                status = "no operations stated"
            if status == DONE:
                value = 100 * (1 - cell["macs"] / cell["dense_macs"])
            records.append(
                {
                    "model": model,
                    "dataset": dataset,
                    "method": method,
                    SPARSITY: value,
                    "origin": cell["origin"],
                    "status": status,
                }
            )
    return pd.DataFrame(records)


def table(results: Results) -> ExhibitTable:
    """Return simulated sparsity and published accuracy of every method on every video workload, and means."""
    rows = video_rows(results)
    # Dense operations are those that the Focus file states, as published.
    frame = sparsities(rows[rows["method"] != "focus_sec_only"].reset_index(drop=True))
    accuracy = read_accuracies(results.root)
    published = [
        {"model": model, "dataset": dataset, "method": method, ACCURACY: value}
        for method in ("dense", "framefusion", "adaptiv", "cmc", "focus")
        for (model, dataset), value in accuracy[method, "fp16"].items()
    ]
    keys = ["model", "dataset", "method"]
    pairs = frame[["model", "dataset"]].drop_duplicates()
    both = frame.merge(pd.DataFrame(published).merge(pairs, on=["model", "dataset"]), on=keys, how="outer")
    is_fixed = both["method"] == "framefusion"
    both.loc[is_fixed, SPARSITY] = FRAMEFUSION_SPARSITY_PERCENT
    both["origin"] = both["origin"].fillna("published")
    both["status"] = both["status"].fillna(DONE)
    order = {pair: place for place, pair in enumerate(pairs.itertuples(index=False, name=None))}
    ranks = {name: place for place, name in enumerate(["dense", "framefusion", *methods_of(frame)])}
    both["_pair"] = [order[pair] for pair in zip(both["model"], both["dataset"], strict=True)]
    both["_method"] = both["method"].map(ranks)
    both = both.sort_values(["_pair", "_method"], kind="stable", ignore_index=True)
    both = both.drop(columns=["_pair", "_method"])
    both = pd.concat([both, _means(both)], ignore_index=True)
    notes = (
        "Accuracy: published; sparsity: MACs saved, simulated; FrameFusion keeps 30 % by construction.",
        *origin_notes(results, frame),
    )
    return ExhibitTable(both[[*keys, ACCURACY, SPARSITY, "origin", "status"]], notes)


def _means(frame: pd.DataFrame) -> pd.DataFrame:
    records = []
    for method in dict.fromkeys(frame["method"]):
        part = frame[frame["method"] == method]
        is_whole = bool((part["status"] == DONE).all())
        records.append(
            {
                "model": _MEAN,
                "dataset": f"of {len(part)}",
                "method": method,
                ACCURACY: part[ACCURACY].mean() if is_whole and part[ACCURACY].notna().all() else np.nan,
                SPARSITY: part[SPARSITY].mean() if is_whole and method != "dense" else np.nan,
                "origin": "; ".join(sorted(set(part["origin"]))),
                "status": DONE if is_whole else "a row is absent",
            }
        )
    return pd.DataFrame(records)


def draw(made: ExhibitTable) -> Any:
    """Return the table as a figure: accuracy and sparsity of each method side by side."""
    frame = made.frame
    methods = list(dict.fromkeys(frame["method"]))
    lines = []
    for model, dataset in dict.fromkeys(zip(frame["model"], frame["dataset"], strict=True)):
        cells = {"Model": short(model), "Dataset": short(dataset)}
        for method in methods:
            part = frame[
                (frame["model"] == model) & (frame["dataset"] == dataset) & (frame["method"] == method)
            ]
            head = "Original" if method == "dense" else label(method)
            cells[f"{head}\nacc. [%]"] = _cell(part, ACCURACY)
            if method != "dense":
                cells[f"{head}\nspars. [%]"] = _cell(part, SPARSITY)
        lines.append(cells)
    return table_figure(pd.DataFrame(lines), EXHIBIT.title, made.notes, first_columns=2)


def _cell(part: pd.DataFrame, column: str) -> str:
    if part.empty:
        return ""
    row = part.iloc[0]
    if row["status"] != DONE and column == SPARSITY:
        return short(str(row["status"]), 20)
    return "" if pd.isna(row[column]) else f"{row[column]:.2f}"


EXHIBIT = Exhibit(
    name="table2",
    title="Table II: accuracy and computation sparsity",
    needs=frozenset({"main"}),
    claims=answers("table_ii"),
    table=table,
    draw=draw,
)
