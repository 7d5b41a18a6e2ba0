"""What the panels of Figure 10 of the Focus paper (HPCA 2026) share: a swept value, results, published accuracy."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from focal_common.errors import TraceError
from focal_evaluation.claims.results import Material
from focal_evaluation.exhibits.base import DONE
from focal_evaluation.exhibits.style import METHODS, short

__all__ = ["bars", "line", "sweep_frame", "sweep_notes"]

_BLUE = METHODS["focus"][1]
_WORKLOADS = {
    "m_tile_size": "videomme",
    "vector_size": "mlvu",
    "block_size": "videomme",
    "num_scatter": "videomme",
}


def _accuracies(root: Path, swept: str) -> dict[str, float]:
    path = root / "design_space_accuracy.csv"
    try:
        with path.open(encoding="utf-8", newline="") as source:
            rows = list(csv.DictReader(source, strict=True))
        return {row["value"]: float(row["accuracy"]) for row in rows if row["swept"] == swept}
    except FileNotFoundError as error:
        raise TraceError(f"{path}: no such file") from error
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise TraceError(f"{path}: expected columns swept, value and accuracy ({error})") from error


def sweep_frame(
    material: Material, file: str, swept: str, order: Sequence[str], needs: Sequence[str]
) -> pd.DataFrame:
    """Return the rows of a sweep in the order of the paper, with the published accuracy.

    Args:
        material: Results with the sweep.
        file: Exhibit name of the result file, such as ``dse_m_tile``.
        swept: Column of the swept value.
        order: Values from left to right; one that is absent has status ``not run``, other values follow.
        needs: Columns that the panel shows. A row in which one is zero or no number has a status that says so, and
            NaN in all of them.

    Raises:
        TraceError: The results hold no such sweep, or a column without any number.
    """
    rows = material.sweep(file, swept).set_index("value")
    accuracy = _accuracies(material.root, swept)
    values = [*order, *(value for value in rows.index if value not in order)]
    frame = rows.reindex(values).reset_index(names="value")
    is_run = [value in rows.index for value in values]
    frame["status"] = [DONE if run else "not run" for run in is_run]
    for column in needs:
        if column not in frame.columns:
            raise TraceError(f"{material.folder}: the sweep over {swept} holds no number in column {column}")
        is_empty = (frame["status"] == DONE) & ~(frame[column] > 0)
        frame.loc[is_empty, "status"] = f"{column} is zero"
    frame.loc[frame["status"] != DONE, list(needs)] = np.nan
    frame["origin"] = frame["origin"].fillna("")
    frame["accuracy_percent"] = [accuracy.get(value, np.nan) for value in values]
    return frame


def sweep_notes(frame: pd.DataFrame, swept: str, accuracy: bool = True) -> tuple[str, ...]:
    """Return the foot of a panel."""
    origins = "; ".join(sorted({one for one in frame["origin"] if one}))
    notes = [f"LLaVA-Video, {short(_WORKLOADS[swept])}; simulated, fidelity parity. Counts: {origins}."]
    if accuracy and frame["accuracy_percent"].notna().any():
        notes.append("Accuracy: published.")
    absent = frame[frame["status"] != DONE]
    for status, part in absent.groupby("status", sort=True):
        notes.append(f"Absent ({status}): {', '.join(part['value'])}.")
    return tuple(notes)


def line(axis: Any, values: pd.Series, colour: str = _BLUE, digits: int = 2, marker: str = "o") -> None:
    """Draw a line with its values written above the points."""
    from matplotlib.patheffects import withStroke

    axis.plot(range(len(values)), values, color=colour, marker=marker, clip_on=False)
    for place, value in enumerate(values):
        if not pd.isna(value):
            axis.annotate(
                f"{value:.{digits}f}",
                (place, value),
                xytext=(0, 4),
                textcoords="offset points",
                ha="center",
                fontsize=5.2,
                path_effects=[withStroke(linewidth=1.6, foreground="white")],
            )


def bars(axis: Any, values: pd.Series, colour: str = _BLUE, digits: int = 2) -> None:
    """Draw bars with their values written above."""
    axis.bar(range(len(values)), values, 0.62, color=colour, hatch="...", edgecolor="black", linewidth=0.25)
    for place, value in enumerate(values):
        if not pd.isna(value):
            axis.text(place, value, f"{value:.{digits}f}", ha="center", va="bottom", fontsize=5.2)
