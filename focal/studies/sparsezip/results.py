"""The tables of a run, checked to be whole, and the summary and pictures written again from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from focal.studies.sparsezip.metrics import Parser, parse
from focal_common.errors import TraceError
from focal_common.reading.frames import csv_frame
from focal_common.reading.json_files import read_json
from focal_common.statistics import wilson

OPTIONAL = (
    "accuracy", "pairs", "effects", "audit", "adaptive", "adaptive_k", "adaptive_pairs", "sweep", "policy",
    "latency", "latency_by_length",
)  # fmt: skip
"""Tables that a run may lack, because its part was not asked for."""


@dataclass(frozen=True)
class Results:
    """A result folder; tables are pandas frames, whose columns only their readers know.

    Attributes:
        folder: Where it is.
        questions: One row per question.
        answers: One row per question, one column per finished configuration; empty text where a model said nothing.
        configurations: One row per configuration, failed ones too.
        tables: The other tables by name; a missing one has no entry.
        manifest: Data, model and versions.
    """

    folder: Path
    questions: Any
    answers: Any
    configurations: Any
    tables: Mapping[str, Any]
    manifest: Mapping[str, Any]

    @property
    def failed(self) -> Any:
        """Configurations without answers."""
        return self.configurations[self.configurations["status"] != "done"]

    def has(self, name: str) -> bool:
        """Return whether a table is there and has rows."""
        return name in self.tables and len(self.tables[name]) > 0

    def read_by(self, parser: Parser) -> Results:
        """Return the results with a table ``accuracy``, where there is one, that a parser read from the answers."""
        if not self.has("accuracy"):
            return self
        return replace(self, tables={**self.tables, "accuracy": self.accuracies(parser)})

    def accuracies(self, parser: Parser) -> pd.DataFrame:
        """Return accuracy, Wilson's 95 % interval and the share of unparsed answers of finished configurations.

        Returns:
            Columns configuration, group, accuracy, low, high, questions, unparsed; a group is a benchmark, or a
            benchmark and its variant or sub-task.
        """
        benchmarks = self.questions["benchmark"]
        splits = benchmarks + " " + self.questions["split"]
        groups = {name: column == name for column in (benchmarks, splits) for name in column.unique()}
        rows = []
        for name in self.configurations.loc[self.configurations["status"] == "done", "configuration"]:
            said = self.answers[name].astype(str)
            words = said.map({text: parse(text, parser) for text in said.unique()})
            is_right, is_unparsed = words == self.questions["truth"], words.isna()
            for group, is_own in groups.items():
                count, right = int(is_own.sum()), int((is_right & is_own).sum())
                low, high = wilson(right, count)
                rows.append(
                    {
                        "configuration": name, "group": group, "accuracy": right / count, "low": low,
                        "high": high, "questions": count, "unparsed": float(is_unparsed[is_own].mean()),
                    }
                )  # fmt: skip
        columns = ["configuration", "group", "accuracy", "low", "high", "questions", "unparsed"]
        return pd.DataFrame(rows, columns=columns)


def read_results(folder: Path) -> Results:
    """Read a folder written by ``focal sparsezip``.

    Raises:
        TraceError: A file is missing or damaged, or answers are missing for a configuration that is called done.
    """
    questions, answers, configurations = (
        _table(folder / f"{name}.csv") for name in ("questions", "answers", "configurations")
    )
    path = folder / "manifest.json"
    manifest = read_json(path, TraceError, "expected a result folder of focal sparsezip")
    if len(answers) != len(questions):
        raise TraceError(
            f"{folder}/answers.csv: {len(answers)} rows for {len(questions)} questions; run focal sparsezip again"
        )
    if "layer_tokens" not in configurations:
        raise TraceError(
            f"{folder}/configurations.csv: no column 'layer_tokens', so an older version wrote it; run focal sparsezip "
            "again"
        )
    for name in configurations.loc[configurations["status"] == "done", "configuration"]:
        if name not in answers:
            raise TraceError(
                f"{folder}/answers.csv: no column for '{name}', which configurations.csv calls done; "
                "run focal sparsezip again"
            )
    tables = {name: _table(folder / f"{name}.csv") for name in OPTIONAL if (folder / f"{name}.csv").is_file()}
    return Results(folder, questions, answers.fillna(""), configurations, tables, manifest)


def _table(path: Path) -> pd.DataFrame:
    return csv_frame(path, (), TraceError, "expected a result folder of focal sparsezip")
