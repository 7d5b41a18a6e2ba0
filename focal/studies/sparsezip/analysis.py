"""From answers to paired comparisons and the effects of the 2 x 2 design, all with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focal.studies.sparsezip.budgets import are_equal, require_equal_budgets
from focal.studies.sparsezip.cells import Cell
from focal.studies.sparsezip.evaluate import Outcome
from focal.studies.sparsezip.metrics import first_word
from focal.studies.sparsezip.questions import QuestionSet
from focal_common.statistics import Comparison, compared

EFFECTS = ("text awareness", "timing", "interaction")
_LEVEL = 0.05
SQUARES = {
    "layer mean": ("before-agnostic", "before-aware", "inside-agnostic", "inside-aware"),
    "kept tokens": ("before-agnostic", "before-aware", "onecut-agnostic", "onecut-aware"),
}
"""Cells of the 2 x 2 design, by what is equal in them: the mean over layers, or the tokens kept after the cut."""


class Scores:
    """Right or wrong per question and configuration, with the groups that are reported.

    Args:
        questions: The questions.
        cells: Results.

    Attributes:
        outcomes: Of the configurations that ran, by name.
        groups: Benchmarks, and their variants or sub-tasks as ``benchmark split``.
        benchmarks: Benchmarks only.
    """

    def __init__(self, questions: QuestionSet, cells: Sequence[Cell]) -> None:
        self.outcomes: dict[str, Outcome] = {
            cell.configuration.name: cell.outcome for cell in cells if cell.outcome is not None
        }
        asked = questions.questions
        truths = [one.truth for one in asked]
        self._pictures = np.array([f"{one.benchmark} {one.picture_id}" for one in asked])
        benchmarks = np.array([one.benchmark for one in asked])
        splits = np.array([f"{one.benchmark} {one.split}" for one in asked])
        self._members = {
            str(name): names == name
            for names in (benchmarks, splits)
            for name in dict.fromkeys(names.tolist())
        }
        self.groups = tuple(self._members)
        self.benchmarks = tuple(name for name in self.groups if " " not in name)
        self._right = {name: right(outcome.answers, truths) for name, outcome in self.outcomes.items()}

    def of(self, name: str, group: str) -> NDArray[np.float64]:
        """Return 0 or 1 per question of a group."""
        return self._right[name][self._members[group]]

    def pictures(self, group: str) -> list[str]:
        """Return what each question of a group is about."""
        names: list[str] = self._pictures[self._members[group]].tolist()
        return names

    def tokens(self, name: str, group: str) -> float:
        """Return the visual tokens of a configuration, averaged over layers and a group's questions."""
        return float(np.array(self.outcomes[name].question_tokens)[self._members[group]].mean())


def right(answers: Sequence[str], truths: Sequence[str]) -> NDArray[np.float64]:
    """Return 1 where the first word yes or no of an answer is the right one, in any case, else 0."""
    return np.array(
        [first_word(said) == true for said, true in zip(answers, truths, strict=True)], dtype=float
    )


def verdict(found: Comparison) -> str:
    """Return ``first``, ``second`` or ``tie``: a winner needs an interval without zero, and McNemar too."""
    is_apart = found.low > 0 or found.high < 0
    if not is_apart or (found.p_value is not None and found.p_value >= _LEVEL):
        return "tie"
    return "first" if found.difference > 0 else "second"


def pair_row(
    scores: Scores, part: str, group: str, first: str, second: str, *, allow_unequal: bool = False
) -> dict[str, Any]:
    """Return one paired comparison.

    Raises:
        ConfigError: The budgets differ and ``allow_unequal`` is not set.
    """
    tokens = scores.tokens(first, group), scores.tokens(second, group)
    require_equal_budgets(*tokens, (first, second), allow_unequal=allow_unequal)
    found = compared(
        scores.of(first, group).tolist(), scores.of(second, group).tolist(), scores.pictures(group)
    )
    values = asdict(found)
    return {
        "part": part, "group": group, "first": first, "second": second, "first_tokens": tokens[0],
        "second_tokens": tokens[1], "is_equal_budget": are_equal(*tokens),
        "first_accuracy": values.pop("first"), "second_accuracy": values.pop("second"), **values,
        "verdict": verdict(found),
    }  # fmt: skip


def effect_rows(scores: Scores, budget: int, equal: str = "layer mean") -> list[dict[str, Any]]:
    """Return main effects and interaction of the 2 x 2 design at one budget, per benchmark and split.

    Text awareness: aware less agnostic, averaged over both places. Timing: inside less before, averaged over both
    scorers. Interaction: what awareness gains inside less what it gains before. Intervals: paired bootstrap over
    pictures.

    Args:
        scores: With the cells.
        budget: Visual tokens.
        equal: Of `SQUARES`.
    """
    names = [f"{cell}-{budget}" for cell in SQUARES[equal]]
    if any(name not in scores.outcomes for name in names):
        return []
    rows = []
    for group in scores.groups:
        before, before_aware, inside, inside_aware = (scores.of(name, group) for name in names)
        contrasts = (
            ((before_aware + inside_aware) / 2, (before + inside) / 2),
            ((inside + inside_aware) / 2, (before + before_aware) / 2),
            (inside_aware - inside, before_aware - before),
        )
        for effect, (one, other) in zip(EFFECTS, contrasts, strict=True):
            found = compared(one.tolist(), other.tolist(), scores.pictures(group))
            rows.append(
                {
                    "equal": equal, "budget": budget, "group": group, "effect": effect, "value": found.difference,
                    "low": found.low, "high": found.high,
                    "is_apart_from_zero": found.low > 0 or found.high < 0,
                    "questions": found.questions, "pictures": found.pictures,
                }
            )  # fmt: skip
    return rows
