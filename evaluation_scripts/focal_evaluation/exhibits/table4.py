"""Table IV of the Focus paper (HPCA 2026): Focus on INT8 models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from focal_evaluation.claims.published import Pair, read_accuracies
from focal_evaluation.claims.results import Results
from focal_evaluation.exhibits.base import DONE, Exhibit, ExhibitTable, answers
from focal_evaluation.exhibits.charts import table_figure
from focal_evaluation.exhibits.shared_rows import origin_notes, video_rows
from focal_evaluation.exhibits.style import short
from focal_evaluation.exhibits.table2 import SPARSITY, sparsities

_KEYS = ["model", "dataset"]
_NUMBERS = {
    "dense_accuracy_percent": "Dense\nacc. [%]",
    "dense_degradation_points": "Dense\ndegr. [pt]",
    "focus_accuracy_percent": "Focus\nacc. [%]",
    "focus_degradation_points": "Focus\ndegr. [pt]",
    "focus_sparsity_percent": "Focus\nspars. [%]",
    "sparsity_degradation_points": "Spars.\ndegr. [pt]",
}


def table(results: Results) -> ExhibitTable:
    """Return INT8 accuracy and sparsity, and what each loses to FP16."""
    int8 = sparsities(results.int8)
    int8 = int8[int8["method"] == "focus"].rename(columns={SPARSITY: "focus_sparsity_percent"})
    rows = video_rows(results)
    fp16 = sparsities(rows[rows["method"] == "focus"].reset_index(drop=True))
    frame = int8.merge(fp16[[*_KEYS, SPARSITY]], on=_KEYS, how="left")
    frame["sparsity_degradation_points"] = frame[SPARSITY] - frame["focus_sparsity_percent"]
    accuracy = read_accuracies(results.root)
    pairs: list[Pair] = list(zip(frame["model"], frame["dataset"], strict=True))
    for method in ("dense", "focus"):
        full = [accuracy[method, "fp16"].get(pair, np.nan) for pair in pairs]
        less = [accuracy[method, "int8"].get(pair, np.nan) for pair in pairs]
        frame[f"{method}_accuracy_percent"] = less
        frame[f"{method}_degradation_points"] = np.subtract(full, less)
    columns = [*_KEYS, *_NUMBERS, "origin", "status"]
    notes = (
        "Accuracy: published (bitsandbytes). Degradation: FP16 minus INT8. Sparsity: simulated.",
        *origin_notes(results, int8),
    )
    whole = pd.concat([frame[columns], _mean(frame)], ignore_index=True)
    return ExhibitTable(whole[columns], notes)


def _mean(frame: pd.DataFrame) -> pd.DataFrame:
    is_whole = bool((frame["status"] == DONE).all())
    means = {name: frame[name].mean(skipna=False) if is_whole else np.nan for name in _NUMBERS}
    origins = "; ".join(sorted(set(frame["origin"])))
    status = DONE if is_whole else "a row is absent"
    return pd.DataFrame(
        [{"model": "mean", "dataset": f"of {len(frame)}", **means, "origin": origins, "status": status}]
    )


def draw(made: ExhibitTable) -> Any:
    """Return the table as a figure."""
    lines = [
        {
            "Model": short(row["model"]),
            "Dataset": short(row["dataset"]),
            **{head: "" if pd.isna(row[name]) else f"{row[name]:.2f}" for name, head in _NUMBERS.items()},
        }
        for row in made.frame.to_dict("records")
    ]
    return table_figure(pd.DataFrame(lines), EXHIBIT.title, made.notes, first_columns=2)


EXHIBIT = Exhibit(
    name="table4",
    title="Table IV: Focus on INT8 models",
    needs=frozenset({"main", "int8"}),
    claims=answers("table_iv"),
    table=table,
    draw=draw,
)
