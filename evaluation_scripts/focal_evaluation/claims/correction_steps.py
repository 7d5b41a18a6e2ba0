"""What each correction does to every claimed number, added up from parity to fidelity cycle."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pandas as pd

from focal_common.console import track
from focal_common.errors import TraceError
from focal_common.files import atomic_write_text
from focal_evaluation.claims.claims import Key, read_claims
from focal_simulator.jobs.corrections import CORRECTIONS

__all__ = ["ENGINE", "FILE_NAME", "STEPS", "Move", "largest_moves", "read_steps", "write_steps"]

FILE_NAME = "correction_steps.csv"
"""In a trace root, beside ``claims.csv``."""

ENGINE = "cycle engine"
"""The step from parity to fidelity cycle without any correction."""

STEPS = ("parity", ENGINE, *(item.name for item in CORRECTIONS))
"""Columns behind the key: our number in parity, then with one more change each."""

_KEY = ("exhibit", "subject", "quantity")


@dataclass(frozen=True, slots=True)
class Move:
    """What one step did to a number, in the number's unit."""

    name: str
    change: float


def largest_moves(values: Sequence[float]) -> list[Move]:
    """Return the steps that move a number, the largest first.

    Args:
        values: The number after each of `STEPS`.
    """
    moves = [
        Move(name, after - before)
        for name, (before, after) in zip(STEPS[1:], pairwise(values), strict=True)
        if after != before
    ]
    return sorted(moves, key=lambda move: (-abs(move.change), move.name))


def write_steps(root: Path, output: Path) -> None:
    """Simulate every step and write each claimed number after it; a cell that did not change is empty.

    Args:
        root: Trace root with the published tables, claims and stand-ins.
        output: CSV file.

    Raises:
        FocalError: A table or stand-in is missing or wrong, or the file cannot be written.
    """
    # The simulator is loaded by those who write only.
    from focal_evaluation.claims.results import read_material
    from focal_evaluation.results.published_runs import run_parts

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
            numbers = read_material(folder, root, fidelity).numbers
            for key in keys:
                if key in numbers and (key in found or step == STEPS[0]):
                    found.setdefault(key, []).append(numbers[key].value)
    rows = [_row(key, values) for key, values in found.items() if len(values) == len(STEPS)]
    text = pd.DataFrame(rows, columns=[*_KEY, *STEPS]).to_csv(index=False, lineterminator="\n")
    atomic_write_text(output, text)


def _row(key: Key, values: list[float]) -> list[str]:
    cells = [f"{value:.9g}" for value in values]
    changed = ["" if cell == before else cell for before, cell in pairwise(cells)]
    return [*key, cells[0], *changed]


def read_steps(root: Path) -> dict[Key, tuple[float, ...]]:
    """Return each claimed number after each of `STEPS`; empty where a root states none.

    Raises:
        TraceError: The file has other columns or holds a cell that is no number.
    """
    path = root / FILE_NAME
    if not path.exists():
        return {}
    found: dict[Key, tuple[float, ...]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as source:
            reader = csv.DictReader(source, strict=True)
            if tuple(reader.fieldnames or ()) != (*_KEY, *STEPS):
                raise TraceError(f"{path}: expected columns {', '.join((*_KEY, *STEPS))}")
            for row in reader:
                values: list[float] = []
                for step in STEPS:
                    values.append(float(row[step]) if row[step] or not values else values[-1])
                found[row["exhibit"], row["subject"], row["quantity"]] = tuple(values)
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        if isinstance(error, TraceError):
            raise
        raise TraceError(f"{path}: not a table of numbers after each correction ({error})") from error
    return found
