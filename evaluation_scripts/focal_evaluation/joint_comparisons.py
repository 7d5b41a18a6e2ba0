"""Which points of the joint study are more, or less, accurate than the published method and the uncompressed model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from focal_evaluation.joint_results import DENSE, PUBLISHED, JointStudy
from focal_evaluation.metrics.paired import Paired, holm

__all__ = ["BETTER", "NOT_KEPT", "NOT_TOLD_APART", "WORSE", "Compared", "compared_front"]

BETTER, WORSE, NOT_TOLD_APART, NOT_KEPT = "better", "worse", "not told apart", "answers not kept"

_LEVEL = 0.05


@dataclass(frozen=True)
class Compared:
    """One comparison of a front point.

    Attributes:
        pair: Difference with interval and test; None where answers were not kept.
        adjusted: p-value after Holm's correction over all comparisons of the page.
    """

    pair: Paired | None
    adjusted: float = 1.0

    @property
    def verdict(self) -> str:
        """``better`` or ``worse`` where interval and adjusted test say so."""
        if self.pair is None:
            return NOT_KEPT
        if self.adjusted < _LEVEL and self.pair.low > 0:
            return BETTER
        if self.adjusted < _LEVEL and self.pair.high < 0:
            return WORSE
        return NOT_TOLD_APART

    @property
    def cell(self) -> str:
        """Difference, interval, adjusted p-value and verdict."""
        if self.pair is None:
            return self.verdict
        return (
            f"{self.pair.difference:+.1f} [{self.pair.low:+.1f}, {self.pair.high:+.1f}], "
            f"{_p_value(self.adjusted)}: {self.verdict}"
        )


def compared_front(study: JointStudy) -> list[dict[str, Compared]]:
    """Return the comparisons of each front point with the uncompressed model and with the published method."""
    others = {name: study.design(name) for name in (DENSE, PUBLISHED)}
    pairs: dict[tuple[str, str], Paired | None] = {}
    for _, row in study.front.iterrows():
        for name, other in others.items():
            key = (_method_key(row), name)
            # A set of answers with itself is no comparison.
            if key not in pairs and _method_key(other) != key[0]:
                pairs[key] = study.compared(row, other)
    tested = [key for key, pair in pairs.items() if pair is not None]
    adjusted = dict(zip(tested, holm([pairs[key].p_value for key in tested]), strict=True))  # type: ignore[union-attr]
    return [
        {
            name: Compared(pairs[_method_key(row), name], adjusted.get((_method_key(row), name), 1.0))
            for name in others
            if (_method_key(row), name) in pairs
        }
        for _, row in study.front.iterrows()
    ]


def _p_value(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _method_key(row: pd.Series[Any]) -> str:
    return " ".join(str(row[name]) for name in row.index if str(name).startswith("method."))
