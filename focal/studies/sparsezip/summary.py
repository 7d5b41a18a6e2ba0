"""``summary_final.csv``: one schema for every benchmark, every cell filled or explained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from focal.studies.sparsezip.metrics.mme import MmeAnswer, mme_score
from focal.studies.sparsezip.metrics.pope import pope_score
from focal.studies.sparsezip.metrics.yes_no import PARSERS, Parser, parse
from focal.studies.sparsezip.results import Results
from focal_common.files import atomic_write_text
from focal_common.statistics import bootstrap_interval, wilson

__all__ = ["COLUMNS", "summary", "write_summary"]

COLUMNS = (
    "model", "configuration", "method", "config_hash", "benchmark", "split", "parser", "metric", "value", "ci_low",
    "ci_high", "n", "n_unparsed", "visual_tokens_mean", "flops_mean", "status", "reason", "origin",
)  # fmt: skip
"""Columns of the summary; a metric without an interval says so by empty ``ci_low`` and ``ci_high``."""


@dataclass(frozen=True)
class _Metric:
    name: str
    value: float
    low: float | None
    high: float | None
    n: int
    unparsed: int


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
            said = results.answers.loc[chosen.index, one["configuration"]].astype(str).tolist()
            found = (_pope if benchmark == "shapes-pope" else _mme)(chosen, said, parser, split == "all")
            rows += [
                shared
                | {
                    "metric": metric.name, "value": metric.value, "ci_low": metric.low, "ci_high": metric.high,
                    "n": metric.n, "n_unparsed": metric.unparsed, "origin": "measured",
                }
                for metric in found
            ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


def write_summary(results: Results) -> Path:
    """Write ``summary_final.csv`` beside the tables: every metric by both parsers."""
    path = results.folder / "summary_final.csv"
    both = pd.concat([summary(results, parser) for parser in PARSERS], ignore_index=True)
    text = both.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    atomic_write_text(path, text)
    return path


def _groups(questions: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    found = []
    for benchmark, own in questions.groupby("benchmark", sort=False):
        found.append((str(benchmark), "all", own))
        found += [(str(benchmark), str(split), part) for split, part in own.groupby("split", sort=False)]
    return found


def _pope(questions: pd.DataFrame, said: Sequence[str], parser: Parser, is_all: bool) -> list[_Metric]:
    truths = questions["truth"].tolist()
    score = pope_score(said, truths, parser)
    n, unparsed = score.questions, score.unparsed
    positives = score.true_positives + score.false_positives
    found = [
        _share("accuracy", score.correct, n, n, unparsed),
        _share("precision", score.true_positives, positives, n, unparsed),
        _share("recall", score.true_positives, score.true_positives + score.false_negatives, n, unparsed),
        _share("yes_ratio", positives, score.parsed, n, unparsed),
        _Metric("f1", score.f1, *_f1_interval(questions, said, parser), n, unparsed),
    ]
    if is_all:
        parts = questions.assign(said=list(said)).groupby("split", sort=False)
        each = [pope_score(own["said"].tolist(), own["truth"].tolist(), parser).f1 for _, own in parts]
        found.append(_Metric("mean_f1_of_variants", float(np.mean(each)), None, None, n, unparsed))
    return found


def _mme(questions: pd.DataFrame, said: Sequence[str], parser: Parser, is_all: bool) -> list[_Metric]:
    answers = questions.assign(said=list(said))
    by_split = {
        str(split): mme_score(
            [MmeAnswer(row["picture_id"], row["truth"], row["said"]) for row in own.to_dict("records")],
            parser,
        )
        for split, own in answers.groupby("split", sort=False)
    }
    unparsed = sum(parse(text, parser) is None for text in said)
    n = len(answers)
    scores = list(by_split.values())
    correct, images = sum(one.correct for one in scores), sum(one.images for one in scores)
    both = sum(one.correct_images for one in scores)
    found = [
        _share("accuracy", correct, n, n, unparsed),
        _share("accuracy_plus", both, images, n, unparsed),
        _Metric("score_official", math.fsum(one.score for one in scores), None, None, n, unparsed),
    ]
    if is_all:
        macro = [
            float(np.mean([getattr(one, name) for one in scores])) for name in ("accuracy", "accuracy_plus")
        ]
        found += [
            _Metric("macro_accuracy", macro[0], None, None, n, unparsed),
            _Metric("macro_accuracy_plus", macro[1], None, None, n, unparsed),
        ]
    return found


def _share(name: str, part: int, whole: int, n: int, unparsed: int) -> _Metric:
    """Return a proportion with Wilson's interval (1927, doi 10.2307/2276774); 0 with none where nothing counts."""
    if not whole:
        return _Metric(name, 0.0, None, None, n, unparsed)
    return _Metric(name, part / whole, *wilson(part, whole), n, unparsed)


def _f1_interval(questions: pd.DataFrame, said: Sequence[str], parser: Parser) -> tuple[float, float]:
    """Return the bootstrap interval of F1 over pictures, because questions about one picture are not independent."""
    yes = np.array([parse(text, parser) == "yes" for text in said])
    is_parsed = np.array([parse(text, parser) is not None for text in said])
    truth = (questions["truth"] == "yes").to_numpy()
    names, place = np.unique(questions["picture_id"].to_numpy(), return_inverse=True)
    if len(names) < 2:
        return 0.0, 1.0  # one picture says nothing about others

    def counts(chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.bincount(place, weights=chosen.astype(np.float64), minlength=len(names)).astype(np.float64)

    hits, false, missed = counts(yes & truth), counts(yes & ~truth), counts(is_parsed & ~yes & truth)

    def f1(hits: Any, false: Any, missed: Any, axis: int = -1) -> Any:
        top = 2 * hits.sum(axis=axis)
        bottom = top + false.sum(axis=axis) + missed.sum(axis=axis)
        return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)

    return bootstrap_interval((hits, false, missed), f1)
