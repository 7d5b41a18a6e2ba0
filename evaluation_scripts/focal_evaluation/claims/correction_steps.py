"""What each correction does to every claimed number, added up from parity to fidelity cycle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from focal_evaluation.claims.claims import Key
from focal_evaluation.claims.tables import number_in, read_table
from focal_simulator.accelerators.corrections import CORRECTIONS

FILE_NAME = "correction_steps.csv"
"""In a trace root, beside ``claims.csv``."""

ENGINE = "cycle engine"
"""The step from parity to fidelity cycle without any correction."""

STEPS = ("parity", ENGINE, *(item.name for item in CORRECTIONS if not item.is_assumption))
"""Columns behind the key: our number in parity, then with one more change each."""

KEY = ("exhibit", "subject", "quantity")


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


def read_steps(root: Path) -> dict[Key, tuple[float, ...]]:
    """Return each claimed number after each of `STEPS`; empty where a root states none.

    Raises:
        TraceError: The file has other columns or holds a cell that is no number.
    """
    path = root / FILE_NAME
    if not path.exists():
        return {}
    found: dict[Key, tuple[float, ...]] = {}
    for number, row in enumerate(read_table(path, (*KEY, *STEPS)), start=2):
        values: list[float] = []
        for step in STEPS:
            # A step that moves nothing is left empty.
            is_new = bool(row[step]) or not values
            values.append(number_in(row, step, f"{path}, line {number}") if is_new else values[-1])
        found[row["exhibit"], row["subject"], row["quantity"]] = tuple(values)
    return found
