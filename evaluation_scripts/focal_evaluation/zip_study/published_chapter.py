"""Chapter of the page on the published numbers beside ours: filled, or with the reason why not."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pandas as pd

from focal_evaluation.metrics.yes_no import Parser
from focal_evaluation.zip_study.curve_chapter import shown
from focal_evaluation.zip_study.results import Results
from focal_evaluation.zip_study.summary import summary
from focal_evaluation.zip_study.words import percent, rows_of, table

__all__ = ["published"]

_BENCHMARKS = {"POPE": "shapes-pope", "MME": "shapes-mme"}
_FORMS = {
    "LLaVA-1.5-7B": ("dense", "dense"),
    "VisionZip": ("visionzip", "visionzip_placed"),
    "SparseZip": ("sparsezip", "sparsezip_placed"),
    "SparseVLM": ("sparsevlm", "sparsevlm2"),
}
"""Configurations of a published system: as published, and with positions kept."""
_METRICS = {"accuracy": "accuracy", "F1": "f1", "macro accuracy": "macro_accuracy"}
_LARGEST = 64
"""Our budgets are totals: the published 64 + 1 of SparseZip, CLS counted apart, stands beside 64."""


def published(results: Results, parser: Parser) -> str:
    """Published numbers beside ours."""
    with files("focal_evaluation.zip_study").joinpath("seeds.csv").open(encoding="utf-8") as source:
        seeds = pd.read_csv(source)
    visual = int(results.manifest["visual_tokens"])
    whole = int(seeds.loc[seeds["system"] == "LLaVA-1.5-7B", "visual_tokens"].iloc[0])
    ours = _measured(results, seeds, parser)
    rows = []
    for row in rows_of(seeds):
        names = [
            name if name == "dense" else f"{name}-{min(row.visual_tokens, _LARGEST)}"
            for name in _FORMS[row.system]
        ]
        cells = [_own(results, ours, row, name) for name in names]
        share = f"{row.visual_tokens} ({percent(row.visual_tokens / whole, 0)})"
        rows.append(
            (
                row.benchmark,
                row.system,
                share,
                row.metric,
                f"{row.value:g} {row.unit}",
                cells[1],
                cells[0],
                row.source,
            )
        )
    head = (
        "benchmark", "system", "tokens (share)", "metric", "published", "ours, positions kept", "ours, as published",
        "source (published)",
    )  # fmt: skip
    return "\n\n".join(
        (
            "## Published numbers, and ours",
            f"Published: LLaVA-1.5-7B, real photographs, {whole} tokens when dense. Ours: a model of a million "
            f"parameters on procedural shapes, {visual} tokens when dense; in brackets the answers that are neither "
            f"yes nor no, marks as in the curve. Levels must not be compared. {_LARGEST} tokens are "
            f"{percent(_LARGEST / whole, 0)} of theirs and {percent(_LARGEST / visual, 0)} of ours, so equal numbers "
            "are not equal budgets either, and a marked number says nothing of an order of methods.",
            table(head, rows),
        )
    )


def _measured(results: Results, seeds: Any, parser: Parser) -> Any:
    """Return the metrics over whole benchmarks of the configurations that stand beside a published number."""
    budgets = {min(count, _LARGEST) for count in seeds["visual_tokens"]}
    names = {"dense", *(f"{name}-{one}" for pair in _FORMS.values() for name in pair for one in budgets)}
    facts = results.configurations
    part = Results(
        results.folder, results.questions, results.answers, facts[facts["configuration"].isin(names)],
        results.tables, results.manifest,
    )  # fmt: skip
    found = summary(part, parser)
    whole = found[(found["split"] == "all") & (found["status"] == "done")]
    return whole.set_index(["configuration", "benchmark", "metric"])


def _own(results: Results, ours: Any, row: Any, name: str) -> str:
    """Return our value of a published number, or why there is none."""
    if row.metric == "latency":
        return _latency(results, name)
    if row.metric not in _METRICS:
        return "none: sums of 14 sub-tasks, of which shapes-mme has no counterpart for most"
    key = (name, _BENCHMARKS[row.benchmark], _METRICS[row.metric])
    if key not in ours.index:
        return f"none: {name} was not run, or failed"
    one = ours.loc[key]
    unparsed = one["n_unparsed"] / one["n"]
    if row.metric == "accuracy":
        like = {"accuracy": one["value"], "low": one["ci_low"], "high": one["ci_high"], "unparsed": unparsed}
        return f"{shown(like)}, {name}"
    return f"{percent(one['value'])} ({percent(unparsed)}), {name}"


def _latency(results: Results, name: str) -> str:
    """Return the time to the first word on the machine of the run."""
    if not results.has("latency"):
        return "none: the latency part was not run"
    times = results.tables["latency"].set_index("configuration")
    if name not in times.index:
        return f"none: {name} was not timed"
    total = sum(times.loc[name, f"{phase}_ms"] for phase in ("vision", "compress", "projector", "prefill"))
    return f"{total:.1f} ms to the first word on a CPU, {name}"
