"""Speed-up and energy relative to dense, where rows of several runs may stand side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from focal_evaluation.exhibits.base import DONE
from focal_evaluation.exhibits.fig9a import SPEEDUP
from focal_evaluation.exhibits.fig9b import with_parts
from focal_evaluation.exhibits.parts import geomean_rows
from focal_evaluation.exhibits.style import base_of
from focal_evaluation.report.runs import RunSet

__all__ = ["ratio_frames"]


def ratio_frames(found: RunSet) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Return speed-up and energy relative to dense, with their means; None without any dense row.

    A row is compared with the dense row of its workload and fidelity: that of its own folder, or else of another.

    Returns:
        Two tables with columns ``model, dataset, method, origin, status``; the first with `SPEEDUP`, the second with
        ``total, core, buffer, dram``. A row that cannot be compared has NaN, and a status that says why.
    """
    rows = found.rows.to_dict("records")
    dense = [row for row in rows if base_of(row["method"]) == "dense" and row["status"] == DONE]
    if not dense:
        return None
    speedups, energies = [], []
    for row in rows:
        base = _reference(row, dense)
        status = row["status"] if row["status"] != DONE or base is not None else "no dense row"
        shared = {name: row[name] for name in ("model", "dataset", "method", "origin")} | {"status": status}
        faster = less = np.nan
        if status == DONE and base is not None:
            faster, less = base["seconds"] / row["seconds"], row["energy_mj"] / base["energy_mj"]
        speedups.append({**shared, SPEEDUP: faster})
        energies.append({**shared, "total": less})
    speedup = pd.DataFrame(speedups)
    with_mean = pd.concat([speedup, geomean_rows(speedup, SPEEDUP)], ignore_index=True)
    return with_mean, with_parts(pd.DataFrame(energies), found.rows)


def _reference(row: dict[Any, Any], dense: list[dict[Any, Any]]) -> dict[Any, Any] | None:
    same = [one for one in dense if all(one[name] == row[name] for name in ("model", "dataset", "fidelity"))]
    return max(same, key=lambda one: one["run"] == row["run"], default=None)
