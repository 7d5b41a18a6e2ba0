"""Numbers in the text and the abstract of the Focus paper (HPCA 2026), beside ours."""

from __future__ import annotations

from typing import Any

import pandas as pd

from focal_evaluation.claims.results import Results
from focal_evaluation.claims.verdicts import rests_on, verdict_frame
from focal_evaluation.exhibits.base import Exhibit, ExhibitTable, answers
from focal_evaluation.exhibits.charts import table_figure

_CLAIMS = answers("text", "abstract")


def table(results: Results) -> ExhibitTable:
    """Return each claim with our number."""
    frame = verdict_frame([claim for claim in results.claims if _CLAIMS(claim)], results)
    level = "parity (published formulas)" if results.fidelity == "parity" else results.fidelity
    return ExhibitTable(
        frame,
        (
            f"Simulated, fidelity {level}. Numbers of Focus rest on {rests_on('calibrated', results)}; accuracies and "
            "GPU runs are published.",
        ),
    )


def draw(made: ExhibitTable) -> Any:
    """Return the table as a figure."""
    lines = [
        {
            "Subject": row["subject"],
            "Quantity": row["quantity"],
            "Unit": row["unit"],
            "Published": f"{row['published']:g}",
            "Ours": "" if pd.isna(row["ours"]) else f"{row['ours']:.4g}",
            "Met": row["met"],
        }
        for row in made.frame.to_dict("records")
    ]
    return table_figure(pd.DataFrame(lines), EXHIBIT.title, made.notes, first_columns=3)


EXHIBIT = Exhibit(
    name="text",
    title="Numbers in the abstract and the text",
    needs=frozenset({"main", "sweeps"}),
    claims=_CLAIMS,
    table=table,
    draw=draw,
)
