"""Chapters of the page on budgets: the curve, the metrics in both conventions, sub-tasks."""

from __future__ import annotations

from typing import Any

from focal_evaluation.metrics.yes_no import Parser
from focal_evaluation.zip_study.results import Results
from focal_evaluation.zip_study.summary import summary
from focal_evaluation.zip_study.words import interval, listed, percent, points, rows_of, table

__all__ = ["curve", "metrics", "subtasks"]

_PUBLISHED = ("visionzip", "sparsezip", "sparsevlm", "random")
_PLACED = ("visionzip_placed", "sparsezip_placed", "sparsevlm2", "random_placed")
_METHODS = (*_PUBLISHED, *_PLACED)
_SIDE_BUDGET = 64
_CHANCE = 0.5  # half of the questions are answered by yes


def curve(results: Results, _: Parser) -> str:
    """Accuracy at equal budgets, and who beats whom."""
    accuracy = results.tables["accuracy"].set_index(["configuration", "group"])
    pairs = results.tables["pairs"]
    pairs = pairs[pairs["part"] == "equal budget"]
    budgets = sorted({int(name.rsplit("-", 1)[1]) for name in pairs["first"]})
    text = ["## Accuracy at equal budgets"]
    for group in pairs["group"].unique():
        asked = int(accuracy.xs(group, level="group")["questions"].iloc[0])
        head = f"{group}, {asked} questions"
        if ("dense", group) in accuracy.index:
            dense = accuracy.loc[("dense", group)]
            head += (
                f"; dense {percent(dense['accuracy'])} [{100 * dense['low']:.1f}, {100 * dense['high']:.1f}]"
            )
            if dense["low"] <= _CHANCE:
                text.append(f"**{group}: dense is not clearly above chance; differences there say little.**")
        for kind, methods in (("as published", _PUBLISHED), ("positions kept", _PLACED)):
            rows = [
                (budget, *(_cell(accuracy, f"{method}-{budget}", group) for method in methods))
                for budget in budgets
            ]
            text.append(f"{head}; {kind}:\n\n" + table(("visual tokens", *methods), rows))
        text.append("\n".join(_verdicts(pairs[pairs["group"] == group], budgets)))
    text.append(
        "Totals count CLS where a method feeds it. SparseVLM's total is its mean over layers, as its paper counts; "
        "`random` keeps tokens drawn per picture and merges none. SparseZip runs with its default weights, a fixed K "
        "and k-means merging. As published, tokens that remain are renumbered 0, 1, 2, ...; `_placed` lets every token "
        "keep its position, and a merged one takes that of a token it stands for; `sparsevlm2` is version 2.0, which "
        "keeps positions and merges nothing. This decoder has little else than positions to tell where a token is "
        "from, so renumbering costs it more than a model whose tower carries places well. All pairs with intervals: "
        "`pairs.csv`."
    )
    return "\n\n".join(text)


def _cell(accuracy: Any, name: str, group: str) -> str:
    if (name, group) not in accuracy.index:
        return "failed"
    one = accuracy.loc[(name, group)]
    return f"{percent(one['accuracy'])} [{100 * one['low']:.1f}, {100 * one['high']:.1f}]"


def _verdicts(pairs: Any, budgets: list[int]) -> list[str]:
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


def metrics(results: Results, parser: Parser) -> str:
    """POPE and MME metrics of the configurations at one budget, with both parsers."""
    names = [
        name
        for name in ("dense", *(f"{method}-{_SIDE_BUDGET}" for method in _METHODS))
        if name in set(results.configurations["configuration"])
    ] or list(results.configurations["configuration"])
    chosen = results.configurations[results.configurations["configuration"].isin(names)]
    part = Results(
        results.folder, results.questions, results.answers, chosen, results.tables, results.manifest
    )
    found = {which: summary(part, which) for which in ("repo", "official")}
    text = [f"## Metrics in both conventions ({_SIDE_BUDGET} visual tokens, and dense)"]
    text += _pope_tables(found)
    own = found[parser]
    mme = own[(own["benchmark"] == "shapes-mme") & (own["split"] == "all") & (own["status"] == "done")]
    if len(mme):
        wide = mme.pivot(index="configuration", columns="metric", values="value")
        splits = own.loc[(own["benchmark"] == "shapes-mme") & (own["split"] != "all"), "split"].nunique()
        rows = [
            (name, percent(one["accuracy"]), percent(one["macro_accuracy"]), percent(one["macro_accuracy_plus"]),
             f"{one['score_official']:.1f}")
            for name, one in wide.iterrows()
        ]  # fmt: skip
        text.append(
            f"shapes-mme: questions right (micro), mean over sub-tasks (macro), pictures with both right, and the "
            f"official sum of 100 accuracy + 100 accuracy+ over {splits} sub-tasks (most {200 * splits}):\n\n"
            + table(("configuration", "micro accuracy", "macro accuracy", "macro accuracy+", "score"), rows)
        )
    text.append("Every configuration, variant and sub-task, with intervals: `summary_final.csv`.")
    return "\n\n".join(text)


def _pope_tables(found: dict[str, Any]) -> list[str]:
    text = []
    for which, own in found.items():
        pope = own[(own["benchmark"] == "shapes-pope") & (own["split"] == "all") & (own["status"] == "done")]
        if not len(pope):
            continue
        wide = pope.pivot(index="configuration", columns="metric", values="value")
        unparsed = pope.groupby("configuration")["n_unparsed"].first()
        columns = ("accuracy", "precision", "recall", "f1", "mean_f1_of_variants", "yes_ratio")
        rows = [
            (name, *(percent(one[column]) for column in columns), unparsed[name])
            for name, one in wide.iterrows()
        ]
        text.append(
            f"shapes-pope, all variants, parser `{which}`:\n\n"
            + table(
                (
                    "configuration",
                    "accuracy",
                    "precision",
                    "recall",
                    "F1",
                    "mean F1",
                    "yes-ratio",
                    "unparsed",
                ),
                rows,
            )
        )
    return text


def subtasks(results: Results, _: Parser) -> str:
    """Per variant and sub-task, what each method loses against dense."""
    pairs = results.tables["pairs"]
    own = pairs[(pairs["part"] == "against dense") & pairs["first"].str.endswith(f"-{_SIDE_BUDGET}")]
    own = own[own["group"].str.contains(" ")]
    if own.empty:
        return ""
    rows = []
    for group in own["group"].unique():
        cells = []
        for method in _METHODS:
            found = own[(own["group"] == group) & (own["first"] == f"{method}-{_SIDE_BUDGET}")]
            cells.append(
                "failed"
                if found.empty
                else f"{points(found['difference'].iloc[0])} {interval(found['low'].iloc[0], found['high'].iloc[0])}"
            )
        rows.append((group, *cells))
    return (
        f"## What is lost where ({_SIDE_BUDGET} tokens against dense, points)\n\n"
        + table(("variant or sub-task", *_METHODS), rows)
        + "\n\nThe other budgets: `pairs.csv`, part `against dense`."
    )
