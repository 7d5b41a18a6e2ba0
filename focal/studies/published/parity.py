"""Every published number beside ours from one run in fidelity parity, and the defects of the published simulator."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd

from focal_common.files import atomic_write_text
from focal_common.reading.yaml_files import read_yaml
from focal_evaluation.claims.claims import read_claims
from focal_evaluation.claims.results import open_results
from focal_evaluation.claims.verdicts import verdict_frame
from focal_evaluation.exhibits.make import csv_text
from focal_evaluation.results.published_runs import run_published

_DEFECTS = Path(__file__).with_name("defects.yaml")


def defect_table() -> pd.DataFrame:
    """Return every known defect of the published simulator: columns ``defect, what, effect, basis``."""
    return pd.DataFrame(
        [
            {
                "defect": name,
                "what": entry["what"],
                "effect": entry["effect"].format(**entry.get("numbers", {})),
                "basis": entry["basis"],
            }
            for name, entry in read_yaml(_DEFECTS).items()
        ]
    )


def write_parity(root: Path, output: Path, results: Path | None = None) -> list[Path]:
    """Run every published experiment in fidelity parity and write every published number beside ours.

    Args:
        root: Trace root with the published tables, claims and calibrated stand-ins.
        output: Folder for ``claims.csv`` (columns `VERDICT_COLUMNS`) and ``defects.csv`` (`defect_table`).
        results: Folder for the result files; None keeps them only as long as needed.

    Raises:
        FocalError: A table or stand-in is missing or wrong, or a file cannot be written; nothing is written.
    """
    claims = read_claims(root)
    with tempfile.TemporaryDirectory() as scratch:
        folder = results or Path(scratch)
        run_published(root, folder)
        found = open_results(folder, root, "parity")
        tables = {
            "claims.csv": verdict_frame(claims, found),
            "defects.csv": defect_table(),
        }
    for name, table in tables.items():
        atomic_write_text(output / name, csv_text(table))
    return [output / name for name in tables]
