"""Speed-up and energy relative to dense, where rows of several runs may stand side by side."""

from __future__ import annotations

import pandas as pd

from focal_evaluation.exhibits.base import DONE
from focal_evaluation.exhibits.fig9b import with_parts
from focal_evaluation.exhibits.parts import geomean_rows
from focal_evaluation.report.runs import RunSet
from focal_simulator.results.ratios import ENERGY, SPEEDUP

__all__ = ["ratio_frames"]


def ratio_frames(found: RunSet) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Return speed-up and energy as each row's own run took them, with their means; None without any.

    Returns:
        Two tables with columns ``model, dataset, method, origin, status``; the first with `SPEEDUP`, the second with
        ``total, core, buffer, dram``. A row without a ratio has NaN, and a status that says so.
    """
    rows = found.rows
    is_done = rows["status"] == DONE
    if not (is_done & rows[SPEEDUP].notna()).any():
        return None
    shared = rows[["model", "dataset", "method", "origin", "status"]].copy()
    shared.loc[is_done & rows[SPEEDUP].isna(), "status"] = "no ratio over dense"
    speedup = shared.assign(**{SPEEDUP: rows[SPEEDUP].where(is_done)})
    with_mean = pd.concat([speedup, geomean_rows(speedup, SPEEDUP)], ignore_index=True)
    return with_mean, with_parts(shared.assign(total=rows[ENERGY].where(is_done)), rows)
