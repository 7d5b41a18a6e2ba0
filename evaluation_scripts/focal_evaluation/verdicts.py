"""Which published claims hold in some results, and why the others do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import pandas as pd

from focal_evaluation.claims import Claim, Comparison, Kind, compare
from focal_evaluation.material import Material

__all__ = ["VERDICT_COLUMNS", "Tally", "tally", "verdict_frame"]

VERDICT_COLUMNS = (
    "exhibit",
    "subject",
    "quantity",
    "unit",
    "published",
    "ours",
    "difference_percent",
    "tolerance_percent",
    "met",
    "rests_on",
    "reason",
    "where",
)

_RESTS_ON = {
    "formula": "formulas on published inputs",
    "calibrated": "synthetic, calibrated counts",
    "published": "published data, recomputed",
}

_LAST_BITS = 1e-12
"""Relative; machines sum reals with different last bits, and files must not depend on the machine."""


def verdict_frame(claims: Sequence[Claim], material: Material) -> pd.DataFrame:
    """Return one row per claim, in their order, with columns `VERDICT_COLUMNS`.

    ``met`` is ``yes``, ``no`` or ``not compared``; the last two have a reason.
    """
    rows = [_row(item, material) for item in compare(list(claims), material.numbers)]
    return pd.DataFrame(rows, columns=list(VERDICT_COLUMNS))


@dataclass(frozen=True, slots=True)
class Tally:
    """How many claims of one kind hold.

    Attributes:
        claims: There are.
        compared: Claims that have a number of ours.
        met: Claims that hold.
    """

    claims: int = 0
    compared: int = 0
    met: int = 0


def tally(claims: Sequence[Claim], material: Material) -> dict[Kind, Tally]:
    """Count claims by what our number rests on: agreement of a solved number is not that of a formula."""
    compared = compare(list(claims), material.numbers)
    found: dict[Kind, Tally] = {}
    for kind in get_args(Kind):
        of_kind = [item for item in compared if item.claim.kind == kind]
        found[kind] = Tally(
            len(of_kind),
            sum(item.ours is not None for item in of_kind),
            sum(item.is_met for item in of_kind),
        )
    return found


def _row(item: Comparison, material: Material) -> dict[str, str | float]:
    claim = item.claim
    met = "not compared" if item.ours is None else "yes" if item.is_met else "no"
    difference = 0.0 if abs(item.difference) <= _LAST_BITS else item.difference
    rests_on = _RESTS_ON[claim.kind]
    return {
        "exhibit": claim.exhibit,
        "subject": claim.subject,
        "quantity": claim.quantity,
        "unit": claim.unit,
        "published": claim.value,
        "ours": np.nan if item.ours is None else item.ours.value,
        "difference_percent": 100 * difference,
        "tolerance_percent": 100 * claim.tolerance,
        "met": met,
        "rests_on": rests_on,
        "reason": _reason(item, material),
        "where": claim.where,
    }


def _reason(item: Comparison, material: Material) -> str:
    if item.ours is None:
        if material.fidelity != "parity" and item.claim.exhibit.startswith(("fig_10", "dse_")):
            return "the published sweeps exist in fidelity parity only"
        return "these results lack the row, or a workload of the mean"
    if item.is_met:
        return ""
    # A place such as "abstract; the published accuracies give 1.28" names what contradicts the claim.
    _, has_reason, contradiction = item.claim.where.partition("; ")
    if has_reason:
        return f"the paper contradicts its own data: {contradiction}"
    if material.fidelity != "parity":
        return f"fidelity {material.fidelity} models what the published simulator leaves out (docs/corrections.md)"
    return (
        "other inputs than the published ones, or a defect of ours: docs/parity.md has the published inputs"
    )
