"""Chapter of the page on the sweep: what each knob moves, the front, and whether proxies tell."""

from __future__ import annotations

from typing import Any

import pandas as pd

from focal_evaluation.metrics.yes_no import Parser
from focal_evaluation.zip_study.results import Results
from focal_evaluation.zip_study.words import listed, percent, points, table

__all__ = ["sweep"]


def sweep(results: Results, _: Parser) -> str:
    """Sweeps at one total."""
    whole = results.tables["sweep"]
    benchmarks = [str(name).removesuffix(" accuracy") for name in whole if str(name).endswith(" accuracy")]
    if not benchmarks:
        return ""
    found = whole[whole["status"] == "done"]
    has_base = f"{benchmarks[0]} difference" in found
    text = [
        f"## Sweep at {int(whole['budget'].iloc[0])} visual tokens",
        f"{len(whole)} settings, each moving one knob from SparseZip's defaults, or putting scorer, selector and "
        "merger together anew (`parts`); positions kept. Vision features were computed once. Proxies: share of the "
        "CLS attention that is kept, reconstruction error of the rest from the merged tokens, overlap with VisionZip's "
        "choice, tokens neither kept nor merged.",
        _room(results, found, benchmarks),
        _knobs(whole, found, benchmarks),
    ]
    if not has_base:
        text.append("**The defaults failed, so nothing is compared with them.**")
    else:
        text += [_front(found, benchmarks), _apart(found, benchmarks)]
    ranks = [
        f"{proxy} and {name} accuracy {found[proxy].corr(found[f'{name} accuracy'], method='spearman'):+.2f}"
        for proxy in ("coverage", "error")
        for name in benchmarks
        if found[f"{name} accuracy"].nunique() > 1 and found[proxy].nunique() > 1
    ]
    text.append(f"Rank correlation over the settings that ran: {listed(ranks)}.")
    return "\n\n".join(part for part in text if part)


def _room(results: Results, found: Any, benchmarks: list[str]) -> str:
    """Return how much a knob could win at all."""
    accuracy = results.tables["accuracy"].set_index(["configuration", "group"])["accuracy"]
    base = found[found["knob"] == "defaults"]
    if base.empty or ("dense", benchmarks[0]) not in accuracy.index:
        return ""
    said = [
        f"{name}: defaults {percent(base[f'{name} accuracy'].iloc[0])}, dense {percent(accuracy[('dense', name)])}"
        for name in benchmarks
    ]
    return f"Room to win: {listed(said)}."


def _knobs(whole: Any, found: Any, benchmarks: list[str]) -> str:
    """Return, by knob, the values tried and the span of accuracies."""
    rows = []
    for knob in whole["knob"].unique():
        if knob == "defaults":
            continue
        tried, own = whole[whole["knob"] == knob], found[found["knob"] == knob]
        values = str(len(tried)) if knob == "parts" else ", ".join(str(value) for value in tried["value"])
        tokens = [own[f"{name} tokens"] for name in benchmarks]
        spans = [
            f"{percent(own[f'{name} accuracy'].min())} to {percent(own[f'{name} accuracy'].max())}"
            if len(own)
            else "failed"
            for name in benchmarks
        ]
        least, most = (
            (min(one.min() for one in tokens), max(one.max() for one in tokens)) if len(own) else (0, 0)
        )
        total = f"{least:.1f}" if most - least < 0.05 else f"{least:.1f} to {most:.1f} (unequal)"
        rows.append((knob, values, total, len(tried) - len(own), *spans))
    return table(("knob", "values", "tokens", "failed", *benchmarks), rows)


def _front(found: Any, benchmarks: list[str]) -> str:
    rows = [
        (f"{row['knob']} {'' if pd.isna(row['value']) else row['value']}".strip(), f"{row['coverage']:.3f}",
         f"{row['error']:.3f}", f"{row['overlap']:.2f}", percent(row["lost"], 0),
         *(f"{percent(row[f'{name} accuracy'])} ({points(row[f'{name} difference'])})" for name in benchmarks))
        for _, row in found[found["is_on_front"].astype(bool)].iterrows()
    ]  # fmt: skip
    head = ("setting", "coverage", "error", "overlap", "lost", *benchmarks)
    return (
        "Pareto front of coverage, error and every accuracy among the settings at the budget (difference to the "
        "defaults in points):\n\n" + table(head, rows)
    )


def _apart(found: Any, benchmarks: list[str]) -> str:
    """Return which settings differ from the defaults, those at other budgets apart."""
    moved = found[found["knob"] != "defaults"]
    said: dict[bool, list[str]] = {True: [], False: []}
    for _, row in moved.iterrows():
        for name in benchmarks:
            if row[f"{name} verdict"] == "tie":
                continue
            is_equal = str(row[f"{name} is_equal_budget"]) == "True"
            tokens = "" if is_equal else f" at {row[f'{name} tokens']:.1f} tokens"
            value = f"{row['knob']} {row['value']} ({name} {points(row[f'{name} difference'])}{tokens})"
            said[is_equal].append(value)
    return (
        f"Apart from the defaults by interval and McNemar, at equal budgets: {listed(said[True])}; at other budgets, "
        f"where tokens and knob cannot be told apart: {listed(said[False])}. With {len(benchmarks) * len(moved)} "
        "comparisons at 5 %, one in twenty is expected by chance alone."
    )
