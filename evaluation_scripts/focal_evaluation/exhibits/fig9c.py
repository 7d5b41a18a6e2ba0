"""Figure 9(c) of the Focus paper (HPCA 2026): area and power of Focus by part."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from focal_common.errors import TraceError
from focal_evaluation.claims.headlines import mean_power_mw, part_of
from focal_evaluation.claims.results import Results
from focal_evaluation.exhibits.base import DONE, Exhibit, ExhibitTable, answers
from focal_evaluation.exhibits.charts import foot
from focal_evaluation.exhibits.style import PAGE_INCHES, new_figure, short

_PARTS = {
    "systolic_array": ("Systolic array", "#999999"),
    "dram": ("DRAM", "#F0E442"),
    "buffer": ("Buffers", "#56B4E9"),
    "sfu": ("Special functions (SFU)", "#E69F00"),
    "sec": ("Semantic conc. (SEC)", "#CC79A7"),
    "sic": ("Similarity conc. (SIC)", "#0072B2"),
}
_SMALL_PERCENT = 5.0
"""Slices below are drawn apart."""

_PUBLISHED_PAIR = ("llava_vid", "videomme")

_COLUMNS = ("area_mm2", "power_mw")


def table(results: Results) -> ExhibitTable:
    """Return area, power and their shares by part."""
    rows = results.published.get("breakdown")
    if not rows:
        raise TraceError(f"{results.folder}: holds no components of Focus in fidelity {results.fidelity}")
    if not {"energy", "power"} <= set(rows["dram"].numbers if "dram" in rows else ()):
        raise TraceError(f"{results.folder}: the breakdown of components lacks energy or power of dram")
    power = mean_power_mw(rows)
    focus = results.rows[results.rows["method"] == "focus"]
    counts = "; ".join(sorted(set(focus["origin"])))
    records = []
    for part in _PARTS:
        chosen = [name for name in rows if part_of(name) == part]
        records.append(
            {
                "part": part,
                "components": len(chosen),
                "area_mm2": math.fsum(rows[name]["area"] for name in chosen),
                "power_mw": math.fsum(power[name] for name in chosen),
                "origin": counts,
                "status": DONE,
            }
        )
    frame = pd.DataFrame(records)
    for ours in _COLUMNS:
        frame[f"{ours.rsplit('_', 1)[0]}_percent"] = 100 * frame[ours] / frame[ours].sum()
    return ExhibitTable(frame, _notes(results))


def _notes(results: Results) -> tuple[str, ...]:
    rows = results.rows
    pairs = [
        (str(row["model"]), str(row["dataset"])) for row in rows[rows["method"] == "focus"].to_dict("records")
    ]
    first = _PUBLISHED_PAIR if _PUBLISHED_PAIR in pairs else (pairs or [("?", "?")])[0]
    workload = "/".join(short(name) for name in first)
    focus = rows[rows["method"] == "focus"]
    counts = "; ".join(sorted(set(focus["origin"])))
    return (
        f"Area: 28 nm synthesis and SRAM models, published. Power: simulated, fidelity {results.fidelity}, on "
        f"{workload}, energy over time.",
        f"Counts: {counts}.",
    )


def draw(made: ExhibitTable) -> Any:
    """Return the figure: a pie of area beside one of power."""
    figure = new_figure(PAGE_INCHES, 1.9)
    for axis, (title, ours, unit, scale) in zip(
        figure.subplots(1, 2),
        (("Area", "area_mm2", "mm\u00b2", 1.0), ("Power", "power_mw", "W", 1e-3)),
        strict=True,
    ):
        part = made.frame[made.frame[ours] > 0]
        shares = part[f"{ours.rsplit('_', 1)[0]}_percent"]
        wedges = axis.pie(
            part[ours],
            colors=[_PARTS[name][1] for name in part["part"]],
            explode=[0.14 if share < _SMALL_PERCENT else 0.0 for share in shares],
            startangle=90,
            counterclock=False,
            wedgeprops={"edgecolor": "white", "linewidth": 0.6},
        )[0]
        labels = [
            f"{_PARTS[name][0]}: {share:.1f} %" for name, share in zip(part["part"], shares, strict=True)
        ]
        axis.legend(wedges, labels, loc="center left", bbox_to_anchor=(1.0, 0.5), handleheight=0.9)
        axis.set_title(f"{title}: {scale * part[ours].sum():.2f} {unit}")
    foot(figure, made.notes)
    return figure


EXHIBIT = Exhibit(
    name="fig9c",
    title="Figure 9(c): area and power of Focus by part",
    needs=frozenset({"main"}),
    claims=answers("fig_9c", "breakdown"),
    table=table,
    draw=draw,
)
