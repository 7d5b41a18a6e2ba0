"""A budget per kind of question, chosen by the words of the question: reported apart from the methods themselves."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focal.studies.sparsezip.analysis import Scores, verdict
from focal.studies.sparsezip.questions import QuestionSet
from focal_common.errors import ConfigError
from focal_common.statistics import compared

__all__ = ["ROUTES", "best_table", "policy_rows", "route"]

ROUTES: tuple[tuple[str, str], ...] = (
    ("code", r"\bcode\b|\bprogram\b|\bpython\b"),
    ("text", r"\bwritten\b|\bword\b|\btext\b|\btranslat|\bread\b"),
    ("count", r"\bhow many\b|\bare there \d|\bnumber of\b"),
    ("size", r"\blarger\b|\bsmaller\b|\bbigger\b"),
    ("reference", r"\bobject (?:left of|right of|above|below)\b"),
    ("position", r"\bleft of\b|\bright of\b|\babove\b|\bbelow\b|\bbetween\b"),
    ("existence", r"\bis there\b"),
)
"""Kind of question and what its text holds, first match first; the rest is ``attribute``."""


def route(text: str) -> str:
    """Return the kind of a question from its text alone."""
    lowered = text.lower()
    return next((kind for kind, pattern in ROUTES if re.search(pattern, lowered)), "attribute")


def best_table(
    right: Mapping[tuple[str, int], float], counts: Mapping[str, int], budgets: Sequence[int], mean: float
) -> dict[str, int]:
    """Return the budget of each kind that gives the best accuracy at no more than a mean budget.

    Every table is tried. Ties go to the fewer tokens.

    Args:
        right: Right answers by kind and budget.
        counts: Questions by kind.
        budgets: To choose from.
        mean: Visual tokens per question, at most.

    Raises:
        ConfigError: The smallest budget already exceeds the mean.
    """
    kinds, total = list(counts), sum(counts.values())
    best: tuple[float, float] | None = None
    chosen: tuple[int, ...] = ()
    for table in product(budgets, repeat=len(kinds)):
        tokens = sum(budget * counts[kind] for kind, budget in zip(kinds, table, strict=True)) / total
        if tokens > mean + 1e-9:
            continue
        value = math.fsum(right[kind, budget] for kind, budget in zip(kinds, table, strict=True))
        if best is None or (value, -tokens) > best:
            best, chosen = (value, -tokens), table
    if best is None:
        raise ConfigError(f"policy: the smallest budget, {min(budgets)}, exceeds the mean of {mean}")
    return dict(zip(kinds, chosen, strict=True))


def policy_rows(
    scores: Scores, questions: QuestionSet, method: str, budgets: Sequence[int], mean: int
) -> list[dict[str, Any]]:
    """Return the table learned on one half of the shapes-mme pictures, and what it does on the other half.

    Args:
        scores: With the configurations ``method-budget``.
        questions: The questions.
        method: Whose columns are used.
        budgets: To choose from.
        mean: Budget of the fixed configuration that it is compared with, at equal mean tokens.
    """
    asked = [one for one in questions.questions if one.benchmark == "shapes-mme"]
    if not asked or any(f"{method}-{budget}" not in scores.cells for budget in (*budgets, mean)):
        return []
    kinds = np.array([route(one.text) for one in asked])
    # Sub-tasks take turns over pictures, so halves go by rounds of them.
    turns = len({one.split for one in asked})
    halves = np.array([(int(one.picture_id.rsplit("-", 1)[1]) // turns) % 2 for one in asked])
    columns = {budget: scores.of(f"{method}-{budget}", "shapes-mme") for budget in (*budgets, mean)}
    learn = halves == 0
    names = sorted(set(kinds.tolist()))
    counts = {kind: int((learn & (kinds == kind)).sum()) for kind in names}
    if not all(counts.values()) or not (~learn).any():
        return []
    hits = {
        (kind, budget): float(columns[budget][learn & (kinds == kind)].sum()) for kind in names for budget in budgets
    }  # fmt: skip
    table = best_table(hits, counts, budgets, mean)
    routed = np.array([table[str(kind)] for kind in kinds])
    own = _picked(columns, routed)
    pictures = np.array(scores.pictures("shapes-mme"))
    found = compared(own[~learn].tolist(), columns[mean][~learn].tolist(), pictures[~learn].tolist())
    is_known = np.array([kind == one.split or (kind == "attribute" and one.split == "color")
                         for kind, one in zip(kinds, asked, strict=True)])  # fmt: skip
    return [
        {
            "method": method, "kind": kind, "budget": table[kind], "questions": int((~learn & (kinds == kind)).sum()),
            "accuracy": float(own[~learn & (kinds == kind)].mean()),
            "fixed_accuracy": float(columns[mean][~learn & (kinds == kind)].mean()),
            "mean_tokens": float(table[kind]), "low": "", "high": "", "verdict": "",
        }
        for kind in names
    ] + [
        {
            "method": method, "kind": "all", "budget": mean, "questions": found.questions, "accuracy": found.first,
            "fixed_accuracy": found.second, "mean_tokens": float(routed[~learn].mean()), "low": found.low,
            "high": found.high, "verdict": verdict(found), "router_agrees": float(is_known.mean()),
        }
    ]  # fmt: skip


def _picked(columns: Mapping[int, NDArray[np.float64]], routed: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.array([columns[int(budget)][place] for place, budget in enumerate(routed)])
