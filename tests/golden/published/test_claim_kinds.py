"""Does a claim's kind say what our number rests on? Counts that were solved must not pass for formulas."""

from __future__ import annotations

import pytest

from focal_evaluation.claims.claims import Kind, read_claims
from focal_evaluation.claims.headlines import headline_numbers
from focal_evaluation.claims.result_rows import PublishedRows, ResultRow
from published_support import ROOT

pytestmark = pytest.mark.golden

KINDS: dict[tuple[str, str, str], Kind] = {claim.key: claim.kind for claim in read_claims(ROOT)}
WITHOUT_COUNTS = {
    "dense_ops",
    "layer_dense_ops",
    "layer_scatter_ops",
    "buffer_area",
    "total_buffer_capacity",
}
"""Columns that follow from shapes, published token numbers and hardware, whatever the counts of unique vectors."""


def rests_on_counts(exhibit: str, subject: str, column: str, row: ResultRow) -> bool:
    """Whether solved counts of unique vectors enter a cell, by the origin of its row."""
    if exhibit == "breakdown":
        # Rows without origin, of the Focus run: constant power, and energy over the time of that run.
        return column == "energy" or (subject, column) == ("dram", "power")
    if not row.origin.startswith("synthetic") or column in WITHOUT_COUNTS:
        return False
    if exhibit == "main_focus_sec_only":
        # Without similarity only published token numbers count; one column repeats that of full Focus.
        return column == "total_activation"
    # A block of one token holds no similarity.
    return subject != "1x1x1"


def test_kinds_of_row_claims_agree_with_the_origin_of_the_row(results: PublishedRows) -> None:
    wrong = []
    for (exhibit, subject, column), kind in KINDS.items():
        row = results.get(exhibit, {}).get(subject)
        if row is None or column not in row.numbers:
            continue
        if rests_on_counts(exhibit, subject, column, row) != (kind == "calibrated"):
            wrong.append((exhibit, subject, column, kind))
    assert not wrong


def shaken(results: PublishedRows) -> PublishedRows:
    """Return the rows with every cell that rests on solved counts changed, each by another factor."""
    changed: PublishedRows = {}
    for place, (exhibit, rows) in enumerate(results.items()):
        changed[exhibit] = {}
        for line, (subject, row) in enumerate(rows.items()):
            numbers = {}
            for column, (name, value) in enumerate(row.numbers.items()):
                factor = 1.01 + 0.01 * ((7 * line + 3 * column + place) % 11)
                if exhibit == "breakdown":
                    # One other time of the run, and other DRAM traffic in it.
                    factor = {("dram", "energy"): 1.155, ("dram", "power"): 1.05}.get((subject, name), 1.1)
                numbers[name] = value * (factor if rests_on_counts(exhibit, subject, name, row) else 1.0)
            changed[exhibit][subject] = ResultRow(numbers, row.origin)
    return changed


def test_headline_numbers_that_move_with_the_counts_are_calibrated(results: PublishedRows) -> None:
    before, after = headline_numbers(results, ROOT), headline_numbers(shaken(results), ROOT)
    moved = {key for key, value in before.items() if abs(after[key] - value) > 1e-9 * abs(value)}
    claimed = {key: kind for key, kind in KINDS.items() if key in before}
    assert {key for key in moved if key in claimed} == {
        # A base divided by itself is 1 whatever the counts.
        key
        for key, kind in claimed.items()
        if kind == "calibrated" and before[key] != 1.0
    }
