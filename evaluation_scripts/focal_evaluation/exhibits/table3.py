"""Table III of the Focus paper (HPCA 2026): area, on-chip power and buffers."""

from __future__ import annotations

from typing import Any

import pandas as pd

from focal_common.errors import TraceError
from focal_evaluation.claims.results import Results
from focal_evaluation.exhibits.base import DONE, Exhibit, ExhibitTable, answers
from focal_evaluation.exhibits.charts import table_figure
from focal_evaluation.exhibits.shared_rows import in_order
from focal_evaluation.exhibits.style import label


def table(results: Results) -> ExhibitTable:
    """Return area, on-chip power and buffer size of every accelerator, and each relative to the dense array."""
    rows = results.published.get("table_iii")
    if not rows:
        raise TraceError(f"{results.folder}: holds no accelerators in fidelity {results.fidelity}")
    frame = pd.DataFrame(
        [
            {
                "method": method,
                "area_mm2": rows[method]["area"],
                "power_mw": rows[method]["on_chip_power"],
                "buffer_kib": rows[method]["buffer_size"],
                "origin": "published",
                "status": DONE,
            }
            for method in in_order(rows)
        ]
    )
    dense = frame[frame["method"] == "dense"]
    for column in ("area_mm2", "power_mw"):
        base = float("nan") if dense.empty else float(dense[column].iloc[0])
        frame[f"{column.rsplit('_', 1)[0]}_over_dense"] = frame[column] / base
    power = "buffers at full activity, as published"
    if results.fidelity == "cycle":
        power = "logic at full activity and leakage of buffers; access energy is in the results"
    return ExhibitTable(
        frame,
        (
            f"28 nm, 500 MHz, 1024 MACs; SRAM models and published synthesis. Power: {power}.",
            f"Fidelity {results.fidelity}.",
        ),
    )


def draw(made: ExhibitTable) -> Any:
    """Return the table as a figure."""
    lines = pd.DataFrame(
        [
            {
                "Accelerator": label(row["method"]),
                "Area\n[mm\u00b2]": f"{row['area_mm2']:.2f}",
                "On-chip power\n[mW]": f"{row['power_mw']:.0f}",
                "Buffers\n[KiB]": f"{row['buffer_kib']:.0f}",
                "Area\n/ dense": f"{row['area_over_dense']:.3f}",
                "Power\n/ dense": f"{row['power_over_dense']:.3f}",
            }
            for row in made.frame.to_dict("records")
        ]
    )
    return table_figure(lines, EXHIBIT.title, made.notes)


EXHIBIT = Exhibit(
    name="table3",
    title="Table III: area, on-chip power and buffers",
    needs=frozenset({"main"}),
    claims=answers("table_iii"),
    table=table,
    draw=draw,
)
