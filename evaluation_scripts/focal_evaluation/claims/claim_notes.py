"""What a reader must know of single published numbers: where data contradict them, and which look derived."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from focal_common.errors import TraceError
from focal_evaluation.claims.claims import Key
from focal_evaluation.claims.tables import number_in, read_table

FILE_NAME = "claim_remarks.csv"
"""In a trace root, beside ``claims.csv``."""

_COLUMNS = ("exhibit", "subject", "quantity", "data_value", "remark")

_NEAR = 5e-3
"""Relative; stand-ins meet published rows within this, and three printed digits say no more."""


@dataclass(frozen=True, slots=True)
class Remark:
    """A remark on one claim.

    Attributes:
        text: One clause.
        data_value: What the published data give in place of the printed number, in its unit; NaN where nothing
            contradicts it.
    """

    text: str
    data_value: float

    @property
    def contradicts(self) -> bool:
        """Whether published data contradict the printed number."""
        return not math.isnan(self.data_value)

    def agrees_with(self, ours: float) -> bool:
        """Whether our number is what the published data give."""
        return self.contradicts and abs(ours - self.data_value) <= _NEAR * abs(self.data_value)


def read_remarks(root: Path) -> dict[Key, Remark]:
    """Return the remarks of a trace root by claim; empty where it has none.

    Raises:
        TraceError: The file has other columns, a second remark on a claim, or a value that is no number.
    """
    path = root / FILE_NAME
    if not path.exists():
        return {}
    found: dict[Key, Remark] = {}
    for number, row in enumerate(read_table(path, _COLUMNS), start=2):
        where = f"{path}, line {number}"
        key = row["exhibit"], row["subject"], row["quantity"]
        if key in found:
            raise TraceError(f"{where}: second remark on {' / '.join(key)}, expected one")
        value = number_in(row, "data_value", where) if row["data_value"] else math.nan
        found[key] = Remark(row["remark"], value)
    return found
