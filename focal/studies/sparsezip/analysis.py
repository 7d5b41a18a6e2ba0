"""From answers to accuracies, paired comparisons and the effects of the 2 x 2 design, all with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focal.studies.sparsezip.budgets import are_equal, require_equal_budgets
from focal.studies.sparsezip.cells import Cell
from focal.studies.sparsezip.questions import QuestionSet
from focal_algorithm.tasks.asking import parse_choice
from focal_common.statistics import Comparison, accuracy, compared

__all__ = ["EFFECTS", "SQUARES", "Scores", "accuracy_rows", "effect_rows", "pair_row", "verdict"]

EFFECTS = ("text awareness", "timing", "interaction")
_LEVEL = 0.05
_CHOICES = ("yes", "no")
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
    """

    def __init__(self, questions: QuestionSet, cells: Sequence[Cell]) -> None:
        self.cells = {cell.configuration.name: cell for cell in cells if cell.outcome is not None}
        self._truths = [one.truth for one in questions.questions]
        self._pictures = np.array([f"{one.benchmark} {one.picture_id}" for one in questions.questions])
        benchmarks = [one.benchmark for one in questions.questions]
        splits = [f"{one.benchmark} {one.split}" for one in questions.questions]
        self._groups = {
            name: np.array([name in pair for pair in zip(benchmarks, splits, strict=True)])
            for name in dict.fromkeys((*benchmarks, *splits))
        }
        self._right = {
            name: right(cell.outcome.answers, self._truths)
            for name, cell in self.cells.items()
            if cell.outcome is not None
        }

    def unparsed(self, name: str, group: str) -> float:
        """Return the share of a group's answers that are neither yes nor no."""
        outcome = self.cells[name].outcome
        said = np.array(
            () if outcome is None else [parse_choice(one, _CHOICES) is None for one in outcome.answers]
        )
        return float(said[self._groups[group]].mean())

    @property
    def groups(self) -> tuple[str, ...]:
        """Benchmarks, and their variants or sub-tasks as ``benchmark split``."""
        return tuple(self._groups)

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """Benchmarks only."""
        return tuple(name for name in self._groups if " " not in name)

    def of(self, name: str, group: str) -> NDArray[np.float64]:
        """Return 0 or 1 per question of a group."""
        return self._right[name][self._groups[group]]

    def pictures(self, group: str) -> list[str]:
        """Return what each question of a group is about."""
        return [str(one) for one in self._pictures[self._groups[group]]]

    def tokens(self, name: str, group: str) -> float:
        """Return the visual tokens of a configuration, averaged over layers and a group's questions."""
        outcome = self.cells[name].outcome
        used = np.array(() if outcome is None else outcome.question_tokens)
        return float(used[self._groups[group]].mean())


def right(answers: Sequence[str], truths: Sequence[str]) -> NDArray[np.float64]:
    """Return 1 where the first word of an answer is the right one, in any case, else 0."""
    return np.array(
        [parse_choice(said, _CHOICES) == true for said, true in zip(answers, truths, strict=True)],
        dtype=float,
    )


def verdict(found: Comparison) -> str:
    """Return ``first``, ``second`` or ``tie``: a winner needs an interval without zero, and McNemar too."""
    is_apart = found.low > 0 or found.high < 0
    if not is_apart or (found.p_value is not None and found.p_value >= _LEVEL):
        return "tie"
    return "first" if found.difference > 0 else "second"


def accuracy_rows(scores: Scores) -> list[dict[str, Any]]:
    """Return accuracy with its 95 % interval per configuration and group."""
    rows = []
    for name in scores.cells:
        for group in scores.groups:
            found = accuracy(scores.of(name, group).tolist(), scores.pictures(group))
            rows.append(
                {
                    "configuration": name, "group": group, "accuracy": found.mean, "low": found.low,
                    "high": found.high, "questions": found.questions, "unparsed": scores.unparsed(name, group),
                }
            )  # fmt: skip
    return rows


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
    named = {"part": part, "group": group, "first": first, "second": second}
    used = {"first_tokens": tokens[0], "second_tokens": tokens[1], "is_equal_budget": are_equal(*tokens)}
    values = asdict(found)
    renamed = {"first_accuracy": values.pop("first"), "second_accuracy": values.pop("second")}
    return named | used | renamed | values | {"verdict": verdict(found)}


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
    if any(name not in scores.cells for name in names):
        return []
    rows = []
    for group in scores.groups:
        before, before_aware, inside, inside_aware = (scores.of(name, group) for name in names)
        pictures = scores.pictures(group)
        contrasts = {
            "text awareness": ((before_aware + inside_aware) / 2, (before + inside) / 2),
            "timing": ((inside + inside_aware) / 2, (before + before_aware) / 2),
            "interaction": (inside_aware - inside, before_aware - before),
        }
        for effect in EFFECTS:
            one, other = contrasts[effect]
            found = compared(one.tolist(), other.tolist(), pictures)
            is_apart = found.low > 0 or found.high < 0
            rows.append(
                {
                    "equal": equal, "budget": budget, "group": group, "effect": effect, "value": found.difference,
                    "low": found.low, "high": found.high, "is_apart_from_zero": is_apart,
                    "questions": found.questions, "pictures": found.pictures,
                }
            )  # fmt: skip
    return rows
