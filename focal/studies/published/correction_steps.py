"""The table of what each correction does to every claimed number, simulated step by step."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

import pandas as pd

from focal_common.console import track
from focal_common.files import atomic_write_text
from focal_evaluation.claims.claims import Key, read_claims
from focal_evaluation.claims.correction_steps import KEY, STEPS
from focal_evaluation.claims.results import open_results
from focal_evaluation.results.published_runs import run_parts

__all__ = ["write_steps"]


def write_steps(root: Path, output: Path) -> None:
    """Simulate every step and write each claimed number after it; a cell that did not change is empty.

    Args:
        root: Trace root with the published tables, claims and stand-ins.
        output: CSV file.

    Raises:
        FocalError: A table or stand-in is missing or wrong, or the file cannot be written.
    """
    keys = [claim.key for claim in read_claims(root)]
    found: dict[Key, list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        on: list[str] = []
        for step in track(STEPS, "corrections"):
            fidelity = "parity" if step == STEPS[0] else "cycle"
            if step not in STEPS[:2]:
                on.append(step)
            words = "all" if fidelity == "parity" else ",".join(on) or "none"
            folder = Path(scratch) / step
            # INT8 comes first: both write the breakdown of components, and the published one is of the main run.
            run_parts(root, folder, fidelity, ("int8", "main"), corrections=words)
            numbers = open_results(folder, root, fidelity).numbers
            for key in keys:
                if key in numbers and (key in found or step == STEPS[0]):
                    found.setdefault(key, []).append(numbers[key].value)
    rows = [_row(key, values) for key, values in found.items() if len(values) == len(STEPS)]
    text = pd.DataFrame(rows, columns=[*KEY, *STEPS]).to_csv(index=False, lineterminator="\n")
    atomic_write_text(output, text)


def _row(key: Key, values: list[float]) -> list[str]:
    cells = [f"{value:.9g}" for value in values]
    changed = ["" if cell == before else cell for before, cell in pairwise(cells)]
    return [*key, cells[0], *changed]
