"""A budget per kind of question, chosen by the words of the question: reported apart from the methods themselves."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import pandas as pd

from focal.studies.sparsezip.analysis import Scores, verdict
from focal.studies.sparsezip.questions import QuestionSet
from focal_common.errors import ConfigError
from focal_common.statistics import compared

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
    if not asked or any(f"{method}-{budget}" not in scores.outcomes for budget in (*budgets, mean)):
        return []
    right = pd.DataFrame(
        {budget: scores.of(f"{method}-{budget}", "shapes-mme") for budget in (*budgets, mean)}
    )
    kinds = pd.Series([route(one.text) for one in asked])
    # Sub-tasks take turns over pictures, so halves go by rounds of them.
    turns = len({one.split for one in asked})
    is_learned = pd.Series([int(one.picture_id.rsplit("-", 1)[1]) // turns % 2 == 0 for one in asked])
    names = sorted(kinds.unique())
    counts = kinds[is_learned].value_counts()
    if set(names) - set(counts.index) or is_learned.all():
        return []
    hits = right[is_learned].groupby(kinds[is_learned]).sum()
    table = best_table(
        {(kind, budget): float(hits.loc[kind, budget]) for kind in names for budget in budgets},
        {kind: int(counts[kind]) for kind in names},
        budgets,
        mean,
    )
    routed = kinds.map(table)
    tested = pd.DataFrame(
        {
            "kind": kinds, "tokens": routed, "fixed": right[mean], "picture": scores.pictures("shapes-mme"),
            "own": [right.at[number, budget] for number, budget in enumerate(routed)],
        }
    )[~is_learned]  # fmt: skip
    found = compared(tested["own"].tolist(), tested["fixed"].tolist(), tested["picture"].tolist())
    splits = pd.Series([one.split for one in asked])
    is_known = (kinds == splits) | ((kinds == "attribute") & (splits == "color"))
    rows: list[dict[str, Any]] = [
        {
            "method": method, "kind": kind, "budget": table[str(kind)], "questions": len(own),
            "accuracy": float(own["own"].mean()), "fixed_accuracy": float(own["fixed"].mean()),
            "mean_tokens": float(table[str(kind)]), "low": "", "high": "", "verdict": "",
        }
        for kind, own in tested.groupby("kind")
    ]  # fmt: skip
    rows.append(
        {
            "method": method, "kind": "all", "budget": mean, "questions": found.questions, "accuracy": found.first,
            "fixed_accuracy": found.second, "mean_tokens": float(tested["tokens"].mean()), "low": found.low,
            "high": found.high, "verdict": verdict(found), "router_agrees": float(is_known.mean()),
        }
    )  # fmt: skip
    return rows
