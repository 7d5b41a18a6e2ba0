"""Published numbers as claims: what was printed or published where, and how near we must come."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from focal_common.errors import TraceError
from focal_evaluation.claims.tables import number_in, read_table

Kind = Literal["formula", "calibrated", "published"]
"""What our number rests on: the formulas and published inputs alone; a stand-in for unpublished masks; or
published data only, from which it is recomputed."""

Key = tuple[str, str, str]
"""Exhibit, subject and quantity."""

COLUMNS = ("exhibit", "subject", "quantity", "value", "unit", "where", "tolerance", "kind")


@dataclass(frozen=True, slots=True)
class Claim:
    """One published number.

    Attributes:
        exhibit: Result file, figure or table, such as ``main_focus`` or ``fig_9a``.
        subject: Row, such as ``llava_vid/mlvu``.
        quantity: Column, such as ``total_cycles``.
        value: The number, in ``unit``.
        unit: Unit as text; ``1`` for ratios.
        where: Where it was published.
        tolerance: Largest relative difference that counts as met.
        kind: What our number rests on.
    """

    exhibit: str
    subject: str
    quantity: str
    value: float
    unit: str
    where: str
    tolerance: float
    kind: Kind

    @property
    def key(self) -> Key:
        """Exhibit, subject and quantity."""
        return self.exhibit, self.subject, self.quantity


@dataclass(frozen=True, slots=True)
class Reproduced:
    """Our number and how it came to be."""

    value: float
    origin: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """A claim beside our number.

    Attributes:
        claim: The published number.
        ours: Our number; None where nothing in the run corresponds.
    """

    claim: Claim
    ours: Reproduced | None

    @property
    def difference(self) -> float:
        """Relative difference of our number from the published one; NaN without a number of ours."""
        if self.ours is None:
            return math.nan
        if self.ours.value == self.claim.value:
            return 0.0
        return self.ours.value / self.claim.value - 1 if self.claim.value else math.inf

    @property
    def is_met(self) -> bool:
        """Whether the difference is within the claim's tolerance."""
        return abs(self.difference) <= self.claim.tolerance


def read_claims(root: Path) -> list[Claim]:
    """Read ``claims.csv`` of a trace root, in file order.

    Raises:
        TraceError: Missing file or column, a cell that is no number, an unknown kind, or a claim twice.
    """
    path = root / "claims.csv"
    rows = read_table(path, COLUMNS)
    claims: list[Claim] = []
    seen: set[Key] = set()
    for number, row in enumerate(rows, start=2):
        claim = _claim(row, f"{path}, line {number}")
        if claim.key in seen:
            raise TraceError(f"{path}, line {number}: second claim of {' / '.join(claim.key)}, expected one")
        seen.add(claim.key)
        claims.append(claim)
    return claims


def _claim(row: dict[str, str], where: str) -> Claim:
    if row["kind"] not in get_args(Kind):
        raise TraceError(f"{where}: kind is '{row['kind']}', expected one of {', '.join(get_args(Kind))}")
    numbers = {name: number_in(row, name, where) for name in ("value", "tolerance")}
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise TraceError(f"{where}: {name} is '{row[name]}', expected a finite number")
    if numbers["tolerance"] < 0:
        raise TraceError(f"{where}: tolerance is {row['tolerance']}, expected 0 or more")
    return Claim(
        exhibit=row["exhibit"],
        subject=row["subject"],
        quantity=row["quantity"],
        value=numbers["value"],
        unit=row["unit"],
        where=row["where"],
        tolerance=numbers["tolerance"],
        kind=row["kind"],  # type: ignore[arg-type]  # checked above
    )


def compare(claims: list[Claim], ours: dict[Key, Reproduced]) -> list[Comparison]:
    """Put our number beside each claim, in the order of the claims."""
    return [Comparison(claim, ours.get(claim.key)) for claim in claims]
