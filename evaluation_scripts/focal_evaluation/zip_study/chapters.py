"""Chapters of the page at one budget: the metrics in both conventions, and what is lost in which sub-task."""

from __future__ import annotations

from typing import Any

from focal_evaluation.metrics.yes_no import PARSERS, Parser
from focal_evaluation.zip_study.results import Results
from focal_evaluation.zip_study.summary import summary
from focal_evaluation.zip_study.words import interval, percent, points, table

__all__ = ["metrics", "subtasks"]

_PUBLISHED = ("visionzip", "sparsezip", "sparsevlm", "random")
_PLACED = ("visionzip_placed", "sparsezip_placed", "sparsevlm2", "random_placed")
_METHODS = (*_PLACED, *_PUBLISHED)
_SIDE_BUDGET = 64


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
    found = {which: summary(part, which) for which in PARSERS}
    text = [f"## Metrics in both conventions ({_SIDE_BUDGET} visual tokens, and dense)"]
    text += _pope_tables(found)
    own = found[parser]
    mme = own[(own["benchmark"] == "shapes-mme") & (own["split"] == "all") & (own["status"] == "done")]
    if len(mme):
        wide = mme.pivot(index="configuration", columns="metric", values="value")
        mute, asked = (mme.groupby("configuration")[name].first() for name in ("n_unparsed", "n"))
        unparsed = {
            name: f"{mute.loc[name]} ({percent(mute.loc[name] / asked.loc[name])})" for name in wide.index
        }
        splits = own.loc[(own["benchmark"] == "shapes-mme") & (own["split"] != "all"), "split"].nunique()
        rows = [
            (name, percent(one["accuracy"]), percent(one["macro_accuracy"]), percent(one["macro_accuracy_plus"]),
             f"{one['score_official']:.1f}", unparsed[name])
            for name, one in wide.iterrows()
        ]  # fmt: skip
        text.append(
            f"shapes-mme: questions right (micro), mean over sub-tasks (macro), pictures with both right, and the "
            f"official sum of 100 accuracy + 100 accuracy+ over {splits} sub-tasks (most {200 * splits}):\n\n"
            + table(
                ("configuration", "micro accuracy", "macro accuracy", "macro accuracy+", "score", "unparsed"),
                rows,
            )
        )
    text.append("Every configuration, variant and sub-task, with intervals: `summary_final.csv`.")
    return "\n\n".join(text)


def _pope_tables(found: dict[Parser, Any]) -> list[str]:
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
