"""Which published claims hold in some results, and why the others do not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import pandas as pd

from focal_evaluation.claims.claims import Claim, Comparison, Kind, Reproduced, compare
from focal_evaluation.claims.correction_steps import largest_moves
from focal_evaluation.claims.results import Results

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
    "remark",
    "where",
)

_PUBLISHED = "published"

_LAST_BITS = 1e-12
"""Relative; machines sum reals with different last bits, and files must not depend on the machine."""

_PRINTED_DIGITS = 1e-8
"""Relative; the table of steps has nine digits."""

_MOST_NAMED = 4
"""Corrections in one reason."""


def verdict_frame(claims: Sequence[Claim], results: Results) -> pd.DataFrame:
    """Return one row per claim, in their order, with columns `VERDICT_COLUMNS`.

    ``met`` is ``yes``, ``no`` or ``not compared``; the last two have a reason.
    """
    rows = [_row(item, results) for item in compare(list(claims), results.numbers)]
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


def tally(claims: Sequence[Claim], results: Results) -> dict[Kind, Tally]:
    """Count claims by what our number rests on: agreement of a solved number is not that of a formula."""
    compared = compare(list(claims), results.numbers)
    found: dict[Kind, Tally] = {}
    for kind in get_args(Kind):
        of_kind = [item for item in compared if item.claim.kind == kind]
        found[kind] = Tally(
            len(of_kind),
            sum(item.ours is not None for item in of_kind),
            sum(item.is_met for item in of_kind),
        )
    return found


def _row(item: Comparison, results: Results) -> dict[str, str | float]:
    claim = item.claim
    met = "not compared" if item.ours is None else "yes" if item.is_met else "no"
    difference = 0.0 if abs(item.difference) <= _LAST_BITS else item.difference
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
        "rests_on": rests_on(claim.kind, results),
        "reason": _reason(item, results),
        "remark": remark.text if (remark := results.remarks.get(claim.key)) else "",
        "where": claim.where,
    }


def rests_on(kind: Kind, results: Results) -> str:
    """Return what a number of a kind rests on in these results, by the origins of their rows."""
    if kind == "published":
        return "published data, recomputed"
    origins = {row.origin for rows in results.published.values() for row in rows.values() if row.origin}
    if kind == "formula":
        return f"formulas on {_PUBLISHED if _PUBLISHED in origins else _words(origins)} inputs"
    return f"{_words(origins - {_PUBLISHED})} counts"


def _words(origins: Iterable[str]) -> str:
    return "; ".join(sorted(origins)) or "unstated"


def _reason(item: Comparison, results: Results) -> str:
    if item.ours is None:
        if results.fidelity != "parity" and item.claim.exhibit.startswith(("fig_10", "dse_")):
            return "the published sweeps exist in fidelity parity only"
        return "these results lack the row or a workload of the mean, or hold zero there"
    if item.is_met:
        return ""
    remark = results.remarks.get(item.claim.key)
    if remark is not None and remark.agrees_with(item.ours.value):
        return f"the paper contradicts its own data: {remark.text}"
    reason = _what_moved(item.claim, item.ours, results)
    if remark is not None and remark.contradicts:
        return f"neither the printed number nor the paper's own data ({remark.text}): {reason}"
    return reason


def _what_moved(claim: Claim, ours: Reproduced, results: Results) -> str:
    """Return what brings our number away from the published one, as far as that is known."""
    if results.fidelity == "parity":
        return (
            "other inputs than the published ones, or a defect of ours: "
            "docs/parity.md has the published inputs"
        )
    values = results.correction_steps.get(claim.key)
    if values is None or abs(ours.value - values[-1]) > _PRINTED_DIGITS * abs(values[-1]):
        return (
            "not the number that the published inputs give with all corrections: "
            "other inputs or corrections, or a defect of ours"
        )
    moves = largest_moves(values)
    if not moves and claim.value and abs(ours.value / claim.value - 1) <= _PRINTED_DIGITS:
        return "equal to eight digits: the cycle engine counts whole rows where the published formulas take fractions"
    if not moves:
        return "no correction moves it: a defect of ours, or an error in what was published"
    scale, unit = (100 / abs(claim.value), " %") if claim.value else (1.0, f" {claim.unit}")
    named = ", ".join(f"{move.name} {move.change * scale:+.3g}{unit}" for move in moves[:_MOST_NAMED])
    more = f" and {len(moves) - _MOST_NAMED} smaller" if len(moves) > _MOST_NAMED else ""
    return f"moved from {values[0]:.4g} by {named}{more} (docs/corrections.md)"
