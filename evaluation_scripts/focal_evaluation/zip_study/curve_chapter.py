"""Chapter of the page on the budget curve: accuracy with its unparsed answers, who beats whom, and what hurts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from focal_evaluation.metrics.yes_no import Parser
from focal_evaluation.zip_study.results import Results
from focal_evaluation.zip_study.words import listed, percent, rows_of, table

__all__ = ["CHANCE", "MOST_UNPARSED", "curve", "is_doubtful", "shown"]

_PUBLISHED = ("visionzip", "sparsezip", "sparsevlm", "random")
_PLACED = ("visionzip_placed", "sparsezip_placed", "sparsevlm2", "random_placed")
_PROBE = "visionzip_text"

_MARK = "†"

CHANCE = 0.5
"""Half of the questions are answered by yes."""
MOST_UNPARSED = 0.05
"""Share of answers that are neither yes nor no, above which an accuracy is marked; assumed."""


def curve(results: Results, parser: Parser) -> str:
    """Accuracy at equal budgets, and who beats whom."""
    accuracy = results.tables["accuracy"].set_index(["configuration", "group"])
    pairs = results.tables["pairs"]
    pairs = pairs[pairs["part"] == "equal budget"]
    budgets = sorted({int(name.rsplit("-", 1)[1]) for name in pairs["first"]})
    visual = int(results.manifest["visual_tokens"])
    text = [
        "## Accuracy at equal budgets",
        "Accuracy [95 % interval] (answers that are neither yes nor no, counted as wrong); "
        f"{_MARK}: below chance, or "
        f"more than {percent(MOST_UNPARSED, 0)} unparsed, so that the number measures a model that no longer answers. "
        f"Budgets are also given as shares of the {visual} tokens of a whole picture.",
    ]
    groups = list(pairs["group"].unique())
    for group in groups:
        asked = int(accuracy.xs(group, level="group")["questions"].iloc[0])
        head = f"{group}, {asked} questions"
        if ("dense", group) in accuracy.index:
            dense = accuracy.loc[("dense", group)]
            head += f"; dense {shown(dense)}"
            if dense["low"] <= CHANCE:
                text.append(f"**{group}: dense is not clearly above chance; differences there say little.**")
        for kind, methods in (
            ("positions kept", _PLACED),
            ("as published, positions renumbered", _PUBLISHED),
        ):
            rows = [
                (f"{budget} ({percent(budget / visual, 0)})",
                 *(_cell(accuracy, f"{method}-{budget}", group) for method in methods))
                for budget in budgets
            ]  # fmt: skip
            text.append(f"{head}; {kind}:\n\n" + table(("visual tokens", *methods), rows))
        text.append("\n".join(_verdicts(pairs[pairs["group"] == group], budgets)))
    text.append(
        "Totals count CLS where a method feeds it. SparseVLM's total is its mean over layers, as its paper counts; "
        "`random` keeps tokens drawn per picture and merges none. SparseZip runs with its default weights, a fixed K "
        "and k-means merging. As published, tokens that remain are renumbered 0, 1, 2, ..., and the text follows; "
        "`_placed` lets every token and the text keep their positions, and a merged token takes that of one it stands "
        "for; `sparsevlm2` is version 2.0, which keeps positions and merges nothing. All pairs with intervals: "
        "`pairs.csv`."
    )
    text.append(_doubtful(accuracy, budgets, groups))
    text.append("\n".join(_causes(accuracy, budgets, groups, parser)))
    return "\n\n".join(part for part in text if part)


def shown(one: Any) -> str:
    """Return accuracy, interval, unparsed share and, where it is due, the mark of doubt."""
    return (
        f"{percent(one['accuracy'])} [{100 * one['low']:.1f}, {100 * one['high']:.1f}] "
        f"({percent(one['unparsed'])}){_MARK * is_doubtful(one)}"
    )


def is_doubtful(one: Any) -> bool:
    """Return whether an accuracy is below chance or stands on too few answers."""
    return bool(one["accuracy"] < CHANCE or one["unparsed"] > MOST_UNPARSED)


def _cell(accuracy: Any, name: str, group: str) -> str:
    return shown(accuracy.loc[(name, group)]) if (name, group) in accuracy.index else "failed"


def _verdicts(pairs: Any, budgets: Sequence[int]) -> list[str]:
    lines = []
    for budget in budgets:
        own = pairs[pairs["first"].str.endswith(f"-{budget}")]
        wins, ties = [], []
        for row in rows_of(own):
            first, second = (str(name).rsplit("-", 1)[0] for name in (row.first, row.second))
            if row.verdict == "tie":
                ties.append(f"{first} = {second}")
                continue
            winner, loser = (first, second) if row.verdict == "first" else (second, first)
            wins.append(f"{winner} > {loser} by {100 * abs(row.difference):.1f}")
        lines.append(f"- {budget} tokens: {listed(wins, 'no method beats another')}; ties: {listed(ties)}.")
    return lines


def _doubtful(accuracy: Any, budgets: Sequence[int], groups: Sequence[str]) -> str:
    """Return a sentence on the marked cells of the curve."""
    names = [f"{method}-{budget}" for method in (*_PLACED, *_PUBLISHED) for budget in budgets]
    here = [(name, group) for name in names for group in groups if (name, group) in accuracy.index]
    marked = {key for key in here if is_doubtful(accuracy.loc[key])}
    if not marked:
        return f"None of {len(here)} accuracies is marked."
    own = [key for key in marked if key[0].rsplit("-", 1)[0] in _PUBLISHED]
    return (
        f"{len(marked)} of {len(here)} accuracies are marked, {len(own)} of them as published. Marked rows compare "
        "how often a model still answers, not what its tokens hold: read the order of methods off the others."
    )


def _causes(accuracy: Any, budgets: Sequence[int], groups: Sequence[str], parser: Parser) -> list[str]:
    """Return, per benchmark, what is left of the loss when only the text keeps its place."""
    lines = []
    for group in groups:
        keys = {
            method: [(f"{method}-{budget}", group) for budget in budgets]
            for method in ("visionzip", _PROBE, "visionzip_placed")
        }
        if not all(key in accuracy.index for own in keys.values() for key in own):
            continue
        right = {method: accuracy.loc[own, "accuracy"].mean() for method, own in keys.items()}
        lost = {method: accuracy.loc[own, "unparsed"].mean() for method, own in keys.items()}
        gap = right["visionzip_placed"] - right["visionzip"]
        if gap <= 0:
            lines.append(f"- {group}: renumbering costs VisionZip nothing on average over these budgets.")
            continue
        share = (right[_PROBE] - right["visionzip"]) / gap
        cause = "the text, shifted to positions where in training only visual tokens stood" if share > CHANCE else (
            "mostly the visual tokens' own positions"
        )  # fmt: skip
        lines.append(
            f"- {group}, cause: with tokens renumbered and only the text back in its place (`{_PROBE}`), VisionZip has "
            f"{percent(right[_PROBE])} on average over the budgets, against {percent(right['visionzip'])} as "
            f"published and {percent(right['visionzip_placed'])} with all positions kept: {percent(share, 0)} of the "
            f"loss by renumbering comes back, so what hurts this model is {cause}. Unparsed by `{parser}`: "
            f"{percent(lost['visionzip'])} as published, {percent(lost[_PROBE])} with the text in place."
        )
    return lines
