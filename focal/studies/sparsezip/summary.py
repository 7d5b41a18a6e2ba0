"""``summary_final.csv``: one schema for every benchmark, every cell filled or explained; and the report of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from focal.studies.sparsezip.figures import write_figures
from focal.studies.sparsezip.metrics import PARSERS, Parser, mme_score, parse, pope_score
from focal.studies.sparsezip.results import Results, read_results
from focal_common.errors import ConfigError, near_matches
from focal_common.files import atomic_write_text
from focal_common.statistics import bootstrap_interval, wilson

COLUMNS = (
    "model", "configuration", "method", "config_hash", "benchmark", "split", "parser", "metric", "value", "ci_low",
    "ci_high", "n", "n_unparsed", "visual_tokens_mean", "flops_mean", "status", "reason", "origin",
)  # fmt: skip
"""Columns of the summary; a metric without an interval says so by empty ``ci_low`` and ``ci_high``."""

_Metric = tuple[str, float, float | None, float | None]
"""Name, value, and the ends of its 95 % interval."""


def write_report(folder: Path, parser: str = "repo") -> tuple[list[Path], int]:
    """Write ``summary_final.csv``, every metric by both parsers, and the pictures.

    Args:
        folder: Of the tables.
        parser: Of the accuracies in the pictures, ``repo`` or ``official``.

    Returns:
        What was written, and how many configurations failed.

    Raises:
        ConfigError: No such parser.
        TraceError: The folder is not whole.
    """
    if parser not in PARSERS:
        raise ConfigError(f"--parser '{parser}'; {near_matches(parser, PARSERS)}")
    results = read_results(folder)
    both = pd.concat([summary(results, name) for name in PARSERS], ignore_index=True)
    path = folder / "summary_final.csv"
    atomic_write_text(path, both.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    return [path, *write_figures(results.read_by(parser))], len(results.failed)


def summary(results: Results, parser: Parser = "repo") -> pd.DataFrame:
    """Return every metric of every configuration; a configuration that failed has a row per split with the reason."""
    rows: list[dict[str, Any]] = []
    for one in results.configurations.to_dict("records"):
        for benchmark, split, chosen in _groups(results.questions):
            shared = {
                "model": one["model"], "configuration": one["configuration"], "method": one["method"],
                "config_hash": one["config_hash"], "benchmark": benchmark, "split": split, "parser": parser,
                "visual_tokens_mean": one["visual_tokens"], "flops_mean": one["flops"], "status": one["status"],
                "reason": "" if pd.isna(one["reason"]) else one["reason"],
            }  # fmt: skip
            if one["status"] != "done":
                rows.append(shared | {"metric": "all", "origin": "missing"})
                continue
            said = results.answers.loc[chosen.index, one["configuration"]].astype(str)
            answered = chosen.assign(said=said)
            metrics = (_pope if benchmark.endswith("pope") else _mme)(answered, parser, split == "all")
            shared |= {
                "n": len(said), "n_unparsed": sum(parse(text, parser) is None for text in said),
                "origin": "measured",
            }  # fmt: skip
            rows += [
                shared | dict(zip(("metric", "value", "ci_low", "ci_high"), metric, strict=True))
                for metric in metrics
            ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _groups(questions: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    groups = []
    for benchmark, own in questions.groupby("benchmark", sort=False):
        groups.append((str(benchmark), "all", own))
        groups += [(str(benchmark), str(split), part) for split, part in own.groupby("split", sort=False)]
    return groups


def _pope(answered: pd.DataFrame, parser: Parser, is_all: bool) -> list[_Metric]:
    def score(own: pd.DataFrame) -> dict[str, Any]:
        return pope_score(own["said"].tolist(), own["truth"].tolist(), parser)

    whole = score(answered)
    hits, positives = whole["true_positives"], whole["positives"]
    metrics = [
        _share("accuracy", whole["correct"], whole["questions"]),
        _share("precision", hits, positives),
        _share("recall", hits, hits + whole["false_negatives"]),
        _share("yes_ratio", positives, whole["parsed"]),
        ("f1", whole["f1"], *_f1_interval(answered, parser)),
    ]
    if is_all:
        each = [score(own)["f1"] for _, own in answered.groupby("split", sort=False)]
        metrics.append(("mean_f1_of_variants", float(np.mean(each)), None, None))
    return metrics


def _mme(answered: pd.DataFrame, parser: Parser, is_all: bool) -> list[_Metric]:
    scores: list[dict[str, Any]] = [
        mme_score(own["picture_id"].tolist(), own["truth"].tolist(), own["said"].tolist(), parser)
        for _, own in answered.groupby("split", sort=False)
    ]
    total = {name: sum(score[name] for score in scores) for name in ("correct", "images", "correct_images")}
    metrics: list[_Metric] = [
        _share("accuracy", total["correct"], len(answered)),
        _share("accuracy_plus", total["correct_images"], total["images"]),
        ("score_official", math.fsum(score["score"] for score in scores), None, None),
    ]
    if is_all:
        for name in ("accuracy", "accuracy_plus"):
            metrics.append((f"macro_{name}", fmean(score[name] for score in scores), None, None))
    return metrics


def _share(name: str, part: int, whole: int) -> _Metric:
    """Return a proportion with Wilson's interval (1927, doi 10.2307/2276774); 0 with none where nothing counts."""
    return (name, part / whole, *wilson(part, whole)) if whole else (name, 0.0, None, None)


def _f1_interval(answered: pd.DataFrame, parser: Parser) -> tuple[float, float]:
    """Return the bootstrap interval of F1 over pictures, because questions about one picture are not independent."""
    words = answered["said"].map({text: parse(text, parser) for text in answered["said"].unique()})
    is_yes, is_true = words == "yes", answered["truth"] == "yes"
    cases = pd.DataFrame(
        {"hits": is_yes & is_true, "false": is_yes & ~is_true, "missed": words.notna() & ~is_yes & is_true}
    )
    counts = cases.astype(float).groupby(answered["picture_id"]).sum()
    if len(counts) < 2:
        return 0.0, 1.0  # one picture says nothing about others

    def f1(hits: Any, false: Any, missed: Any, axis: int = -1) -> Any:
        top = 2 * hits.sum(axis=axis)
        bottom = top + false.sum(axis=axis) + missed.sum(axis=axis)
        return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)

    columns: Sequence[Any] = [counts[name].to_numpy() for name in ("hits", "false", "missed")]
    return bootstrap_interval(columns, f1)
