"""Chapters of the page on K, policies and latency."""

from __future__ import annotations

from typing import Any

import pandas as pd

from focal_evaluation.metrics.yes_no import Parser
from focal_evaluation.zip_study.results import Results
from focal_evaluation.zip_study.words import interval, listed, percent, points, rows_of, table

__all__ = ["adaptive", "audit", "latency", "policy"]

_FIXED = 64


def audit(results: Results, _: Parser) -> str:
    """Budget audit."""
    found = results.tables["audit"]
    rows = [
        (row.configuration, f"{row.k_min} to {row.k_max}", f"{row.k_mean:.1f} ({row.k_least} to {row.k_largest})",
         percent(row.at_k_min, 0), percent(row.at_k_max, 0), f"{row.contextual:.0f}", row.prefix,
         f"{row.total_mean:.1f} ({row.total_least} to {row.total_largest})")
        for row in rows_of(found)
    ]  # fmt: skip
    warned = [
        f"- **{row.configuration}**: {row.warning}." for row in rows_of(found) if row.warning == row.warning
    ]
    head = ("settings", "bounds of K", "K", "at k_min", "at k_max", "C", "CLS", "total")
    return "\n\n".join(
        (
            "## Budget audit: is a dynamic K dynamic?",
            "Published settings of SparseZip, and a rule of ours marked so, on "
            f"{int(found['pictures'].iloc[0])} pictures; mean (least to largest):",
            table(head, rows),
            "\n".join(warned) or "No dynamic K is constant.",
        )
    )


def adaptive(results: Results, _: Parser) -> str:
    """Adaptive K at a mean budget."""
    found = results.tables["adaptive"]
    pairs = rows_of(results.tables["adaptive_pairs"]) if results.has("adaptive_pairs") else []
    rows = [
        (row.configuration, f"{row.knob:.3f}", f"{row.k_mean:.1f} ({row.k_least} to {row.k_largest})",
         f"{row.total_mean:.1f}", row.aimed_total, percent(row.at_k_min, 0), percent(row.at_k_max, 0))
        if row.status == "done" else (row.configuration, *["failed"] * 6)
        for row in rows_of(found)
    ]  # fmt: skip
    lines = [
        f"- {row.group}: {row.first} {percent(row.first_accuracy)} at {row.first_tokens:.1f} tokens, fixed K "
        f"{percent(row.second_accuracy)} at {row.second_tokens:.1f}: {points(row.difference)} points "
        f"{interval(row.low, row.high)}, {'a tie' if row.verdict == 'tie' else 'a difference'}"
        f"{'' if row.is_equal_budget else '; **not at equal budgets** (more than 2 % and one token apart)'}."
        for row in pairs
    ]
    return "\n\n".join(
        (
            "## A K that follows the picture and keeps its mean",
            "`mass`: the fewest tokens that hold a share rho of the CLS attention; `entropy`: K linear in the "
            "normalised entropy of that attention. The knob was set on pictures of another split, so the mean "
            "reached here is a result:",
            table(("rule", "knob", "K", "mean total", "aimed", "at k_min", "at k_max"), rows),
            "\n".join(lines)
            or "Nothing to compare: the fixed K, or every K that follows the picture, failed.",
        )
    )


def policy(results: Results, _: Parser) -> str:
    """Budgets per kind of question."""
    found = results.tables["policy"]
    rows = [
        (row.method, row.kind, row.budget if row.kind != "all" else f"fixed {row.budget}", row.questions,
         percent(row.accuracy), percent(row.fixed_accuracy), f"{row.mean_tokens:.1f}")
        for row in rows_of(found)
    ]  # fmt: skip
    lines = [
        f"- {row.method}: {points(row.accuracy - row.fixed_accuracy)} points "
        f"{interval(float(row.low), float(row.high))} at {row.mean_tokens:.1f} mean tokens against {row.budget} fixed: "
        f"{'a tie' if row.verdict == 'tie' else 'a difference'}; the router agrees with the sub-task of "
        f"{percent(row.router_agrees, 0)} of the questions."
        for row in rows_of(found[found["kind"] == "all"])
    ]
    return "\n\n".join(
        (
            "## A budget per kind of question (apart from the methods)",
            "A router reads the question's words; the table of budgets was chosen on every other round of shapes-mme "
            f"pictures at a mean of at most {_FIXED}, and is judged on the rest:",
            table(
                ("method", "kind", "budget", "questions", "accuracy", f"fixed {_FIXED}", "mean tokens"), rows
            ),
            "\n".join(lines),
        )
    )


def latency(results: Results, _: Parser) -> str:
    """Latency by phase and at equal length."""
    phases, lengths = results.tables["latency"], results.tables["latency_by_length"]
    rows = [
        (row.configuration, f"{row.vision_ms:.2f}", f"{row.compress_ms:.2f}", f"{row.projector_ms:.2f}",
         f"{row.prefill_ms:.2f}", f"{row.decode_ms_per_token:.2f}",
         _with_interval(row, "ms_per_token", "per_token_ms"), _with_interval(row, "fixed_ms", "fixed_ms"),
         _with_interval(row, "r_squared", "r_squared", 3), percent(row.spread, 0))
        for row in rows_of(phases)
    ]  # fmt: skip
    counts = sorted(lengths["new_tokens"].unique())
    wide = lengths.pivot(index="configuration", columns="new_tokens", values="over_reference")
    ratios = [
        (name, *(f"{wide.loc[name, count]:.2f}" for count in counts)) for name in phases["configuration"]
    ]
    return "\n\n".join(
        (
            "## Latency (measured on the machine that wrote the tables; CPU, batch 1, float32)",
            "Medians in milliseconds. Answers were forced to fixed lengths; a line through total time over new tokens "
            "gives slope, intercept and R squared:",
            table(
                ("configuration", "vision", "compress", "projector", "prefill", "decode per token", "fit per token",
                 "fit fixed", "R squared", "spread"),
                rows,
            ),
            _noise(phases),
            "Length-matched, total over that of dense at the same number of new tokens:",
            table(("configuration", *(f"{count} tokens" for count in counts)), ratios),
            "Selection inside the decoder counts as prefill. A model this small spends much of a prefill on overhead "
            "that does not shrink with tokens; ratios say little about 7B parameters on a GPU.",
        )
    )  # fmt: skip


def _with_interval(row: Any, value: str, interval_of: str, digits: int = 2) -> str:
    low, high = (getattr(row, f"fit_{interval_of}_{end}") for end in ("low", "high"))
    return f"{getattr(row, f'fit_{value}'):.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _noise(phases: pd.DataFrame) -> str:
    """Return how far apart repeated answers lay, and which fixed costs their intervals tell from dense."""
    rows = rows_of(phases)
    least, most = min(row.spread for row in rows), max(row.spread for row in rows)
    text = (
        "Intervals: 95 %, bootstrap over pictures. Spread: interquartile range over median of answers of one length; "
        f"here {percent(least, 0)} to {percent(most, 0)}, so a difference below that is noise of the machine."
    )
    dense = next((row for row in rows if row.configuration == "dense"), None)
    if dense is None:
        return text
    apart = [
        f"{row.configuration} ({row.fit_fixed_ms - dense.fit_fixed_ms:+.2f} ms)"
        for row in rows
        if row.fit_fixed_ms_low > dense.fit_fixed_ms_high or row.fit_fixed_ms_high < dense.fit_fixed_ms_low
    ]
    return f"{text} Fixed part apart from that of dense by its interval: {listed(apart)}."
