"""The picture of the joint study: measured accuracy with its interval against simulated energy-delay."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from focal.studies.joint.results import DENSE, PUBLISHED, JointStudy
from focal_evaluation.exhibits.style import PAGE_INCHES, new_figure, save, style
from focal_evaluation.exhibits.sweep_style import DOMINATED, FRONT, KNEE

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
        label = f"dominated ({len(behind)} points)"
        panel.scatter(behind["edp_mj_s"], behind["accuracy"], s=7, color=DOMINATED, linewidths=0, label=label)
        line = front.sort_values("edp_mj_s")
        panel.step(line["edp_mj_s"], line["accuracy"], where="post", color=FRONT, linewidth=0.7, alpha=0.6)
        better = np.asarray(is_better, dtype=bool)
        shown: list[tuple[pd.DataFrame, str, str, str, float, bool]] = [
            (front[better], "front, more accurate than published (paired)", "o", FRONT, 3.8, False),
            (front[~better], "front, not shown more accurate", "o", FRONT, 3.8, True),
            (study.design(PUBLISHED).to_frame().T, "published Focus", "*", KNEE, 10, False),
            (study.design(DENSE).to_frame().T, "no compression, Focus hardware", "s", _DENSE_COLOUR, 4.5, True),
        ]  # fmt: skip
        if study.array is not None:
            array = study.array.to_frame().T
            shown.append((array, "no compression, dense array", "s", _DENSE_COLOUR, 4.5, False))
        for rows, label, marker, colour, size, is_hollow in shown:
            if rows.empty:
                continue
            values = rows[["edp_mj_s", "accuracy", "accuracy_low", "accuracy_high"]].astype(float)
            x, y, low, high = (column.to_numpy() for _, column in values.items())
            panel.errorbar(
                x, y, yerr=[y - low, high - y], fmt=marker, markersize=size, color=colour, label=label,
                markerfacecolor="white" if is_hollow else colour, elinewidth=0.6, capsize=1.5, capthick=0.6,
                zorder=3,
            )  # fmt: skip
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_major_formatter("{x:g}")
        panel.xaxis.set_minor_formatter(NullFormatter())
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
