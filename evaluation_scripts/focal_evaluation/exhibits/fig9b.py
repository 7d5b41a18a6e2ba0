"""Figure 9(b) of the Focus paper (HPCA 2026): energy relative to the dense systolic array."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from focal_evaluation.claims.claims import Claim
from focal_evaluation.claims.results import Results
from focal_evaluation.exhibits.base import DONE, Exhibit, ExhibitTable
from focal_evaluation.exhibits.charts import foot, legend_above, methods_of, stacked_bars
from focal_evaluation.exhibits.shared_rows import geomean_rows, grid, origin_notes, video_rows, with_gpu
from focal_evaluation.exhibits.style import PAGE_INCHES, new_figure
from focal_simulator.results.ratios import ENERGY

_PARTS = {"core": "core_energy_mj", "buffer": "sram_energy_mj", "dram": "dram_energy_mj"}
_TOP = 1.0
"""The paper cuts its axis at the dense array; the GPU is above."""


def energy_frame(where: object, rows: pd.DataFrame) -> pd.DataFrame:
    """Return total and parts of energy relative to the dense total, and their geometric mean."""
    return with_parts(grid(where, rows, ENERGY).rename(columns={ENERGY: "total"}), rows)


def with_parts(frame: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Split totals into core, buffer and DRAM, and add the geometric mean, split by mean shares.

    Args:
        frame: Columns ``model, dataset, method, origin, status, total``.
        rows: Main rows, which hold the shares.
    """
    keys = ["model", "dataset", "method"]
    shares = rows[keys].assign(
        **{f"{part}_share": rows[column] / rows["energy_mj"] for part, column in _PARTS.items()}
    )
    frame = frame.merge(shares.drop_duplicates(keys), on=keys, how="left")
    mean = geomean_rows(frame, "total")
    done = frame[frame["status"] == DONE]
    for part in _PARTS:
        frame[part] = frame["total"] * frame[f"{part}_share"]
        by_method = done.groupby("method")[f"{part}_share"].mean()
        shares_of_mean = [float(by_method[method]) for method in mean["method"]]
        mean[part] = mean["total"] * np.asarray(shares_of_mean, dtype=float)
    whole = pd.concat([frame, mean], ignore_index=True)
    return whole.drop(columns=[f"{part}_share" for part in _PARTS])


def table(results: Results) -> ExhibitTable:
    """Return the energy of every method on every video workload, split into core, buffers and DRAM."""
    rows = with_gpu(results, video_rows(results))
    frame = energy_frame(results.folder, rows[rows["method"] != "focus_sec_only"].reset_index(drop=True))
    return ExhibitTable(frame, origin_notes(results, frame))


def bars(axis: Any, frame: pd.DataFrame) -> None:
    """Draw the stacked bars, cut a little above the dense array."""
    stacked_bars(axis, frame, methods_of(frame), _TOP)
    axis.axhline(1.0, color="black", linewidth=0.6, linestyle="--")
    axis.set_yticks([0, 0.25, 0.5, 0.75, 1.0])
    axis.set_ylabel("Energy relative to\nsystolic array [-]")


def draw(made: ExhibitTable) -> Any:
    """Return the figure."""
    figure = new_figure(PAGE_INCHES, 2.3)
    axis = figure.subplots()
    bars(axis, made.frame)
    legend_above(axis, methods_of(made.frame), 9, parts=True)
    foot(figure, made.notes)
    return figure


def _claims(claim: Claim) -> bool:
    return claim.exhibit == "fig_9b" or (claim.exhibit == "abstract" and claim.quantity.startswith("energy"))


EXHIBIT = Exhibit(
    name="fig9b",
    title="Figure 9(b): energy relative to the dense systolic array",
    needs=frozenset({"main"}),
    claims=_claims,
    table=table,
    draw=draw,
)
