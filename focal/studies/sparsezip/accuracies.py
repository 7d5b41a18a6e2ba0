"""Accuracy and unparsed answers of every configuration, read from the answers by either parser."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from focal.studies.sparsezip.metrics.yes_no import Parser, parse
from focal.studies.sparsezip.results import Results
from focal_common.statistics import wilson

__all__ = ["accuracies", "read_by"]


def read_by(results: Results, parser: Parser) -> Results:
    """Return results whose table ``accuracy``, where there is one, is read from the answers by a parser."""
    if not results.has("accuracy"):
        return results
    return replace(results, tables={**results.tables, "accuracy": accuracies(results, parser)})


def accuracies(results: Results, parser: Parser) -> pd.DataFrame:
    """Return accuracy, Wilson's 95 % interval and the share of unparsed answers.

    Returns:
        Columns configuration, group, accuracy, low, high, questions, unparsed; a group is a benchmark, or a benchmark
        and its variant or sub-task.
    """
    questions = results.questions
    splits = questions["benchmark"] + " " + questions["split"]
    groups = {
        **{name: questions["benchmark"] == name for name in questions["benchmark"].unique()},
        **{name: splits == name for name in splits.unique()},
    }
    rows = []
    for row in results.configurations.to_dict("records"):
        if row["status"] != "done":
            continue
        said = results.answers[row["configuration"]].astype(str)
        words = said.map({text: parse(text, parser) for text in said.unique()})
        is_right, is_unparsed = words == questions["truth"], words.isna()
        for group, own in groups.items():
            count, right = int(own.sum()), int((is_right & own).sum())
            low, high = wilson(right, count)
            rows.append(
                {
                    "configuration": row["configuration"], "group": group, "accuracy": right / count,
                    "low": low, "high": high, "questions": count,
                    "unparsed": float((is_unparsed & own).sum()) / count,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)
