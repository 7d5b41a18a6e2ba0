"""The picture of the joint study: measured accuracy with its interval against simulated energy-delay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from focal_evaluation.exhibits.style import PAGE_INCHES, new_figure, save, style
from focal_evaluation.exhibits.sweep_style import DOMINATED, FRONT, KNEE
from focal_evaluation.joint_results import DENSE, PUBLISHED, JointStudy

__all__ = ["draw"]

_DENSE_COLOUR = "#009E73"


def draw(study: JointStudy, stem: Path) -> list[Path]:
    """Write the picture as PNG; equal studies give equal bytes."""
    with style():
        figure = new_figure(PAGE_INCHES, 0.58 * PAGE_INCHES)
        panel = figure.subplots()
        front = study.front.sort_values("edp_mj_s")
        behind = study.feasible[~study.feasible["index"].isin(front["index"])]
        panel.scatter(
            behind["edp_mj_s"],
            behind["accuracy"],
            s=7,
            color=DOMINATED,
            linewidths=0,
            label=f"dominated ({len(behind)} points)",
        )
        panel.step(front["edp_mj_s"], front["accuracy"], where="post", color=FRONT, linewidth=0.7, alpha=0.6)
        _marked(panel, front, f"front ({len(front)} points)", "o", FRONT, 3.5)
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
        panel.set_xlabel("energy-delay product [mJ s], simulated (fidelity cycle), log scale")
        panel.set_ylabel("accuracy [%], measured; bars: 95 % interval")
        panel.grid(which="major")
        panel.legend(loc="lower right", fontsize=6.5, frameon=True, framealpha=0.9, edgecolor="none")
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
