"""The picture of the joint study: measured accuracy with its interval against simulated energy-delay."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from focal.studies.joint.results import DENSE, PUBLISHED, JointStudy
from focal_evaluation.exhibits.style import PAGE_INCHES, new_figure, save, style
from focal_evaluation.exhibits.sweep_style import DOMINATED, FRONT, KNEE

__all__ = ["draw"]

_DENSE_COLOUR = "#009E73"


def draw(study: JointStudy, is_better: Sequence[bool], stem: Path) -> list[Path]:
    """Write the picture as PNG; equal studies give equal bytes.

    Args:
        study: The study.
        is_better: Which front points are more accurate than the published Focus on the same questions.
        stem: Path without suffix.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    with style():
        figure = new_figure(PAGE_INCHES, 0.58 * PAGE_INCHES)
        panel = figure.subplots()
        front = study.front
        behind = study.feasible[~study.feasible["index"].isin(front["index"])]
        panel.scatter(
            behind["edp_mj_s"],
            behind["accuracy"],
            s=7,
            color=DOMINATED,
            linewidths=0,
            label=f"dominated ({len(behind)} points)",
        )
        line = front.sort_values("edp_mj_s")
        panel.step(line["edp_mj_s"], line["accuracy"], where="post", color=FRONT, linewidth=0.7, alpha=0.6)
        better = np.asarray(is_better, dtype=bool)
        _marked(panel, front[better], "front, more accurate than published (paired)", "o", FRONT, 3.8)
        _marked(panel, front[~better], "front, not shown more accurate", "o", FRONT, 3.8, is_hollow=True)
        _marked(panel, _one(study.design(PUBLISHED)), "published Focus", "*", KNEE, 10)
        _marked(
            panel,
            _one(study.design(DENSE)),
            "no compression, Focus hardware",
            "s",
            _DENSE_COLOUR,
            4.5,
            is_hollow=True,
        )
        if study.array is not None:
            _marked(panel, _one(study.array), "no compression, dense array", "s", _DENSE_COLOUR, 4.5)
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_major_formatter("{x:g}")
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.set_xlabel("energy-delay product [mJ s], simulated (fidelity cycle), log scale")
        panel.set_ylabel("accuracy [%], measured; bars: 95 % interval")
        panel.grid(which="major")
        panel.legend(loc="lower left", fontsize=6.5, frameon=True, framealpha=0.9, edgecolor="none")
        questions = int(study.feasible["questions"].iloc[0])
        panel.set_title(
            f"Focus, method and hardware together: {len(study.feasible)} designs at no more than the published area, "
            f"{questions} questions each"
        )
        return save(figure, stem, ("png",))


def _marked(
    panel: Any,
    rows: pd.DataFrame,
    label: str,
    marker: str,
    colour: str,
    size: float,
    is_hollow: bool = False,
) -> None:
    if rows.empty:
        return
    below = rows["accuracy"] - rows["accuracy_low"]
    above = rows["accuracy_high"] - rows["accuracy"]
    panel.errorbar(
        rows["edp_mj_s"],
        rows["accuracy"],
        yerr=[below, above],
        fmt=marker,
        markersize=size,
        color=colour,
        markerfacecolor="white" if is_hollow else colour,
        elinewidth=0.6,
        capsize=1.5,
        capthick=0.6,
        zorder=3,
        label=label,
    )


def _one(row: pd.Series[Any]) -> pd.DataFrame:
    return pd.DataFrame([row])
