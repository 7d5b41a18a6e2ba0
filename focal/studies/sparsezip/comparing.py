"""Two configurations of result folders, compared question by question."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from focal.studies.sparsezip.analysis import right, verdict
from focal.studies.sparsezip.budgets import require_equal_budgets
from focal.studies.sparsezip.questions import require_same_questions
from focal.studies.sparsezip.tables import read_table
from focal_common.errors import ConfigError, near_matches
from focal_common.statistics import compared

__all__ = ["compare_folders", "show"]


def compare_folders(
    first: Path, second: Path, names: Sequence[str], allow_unequal: bool
) -> list[dict[str, Any]]:
    """Return one row per benchmark.

    Args:
        first: Folder with the first configuration.
        second: Folder with the second.
        names: Of the two configurations.
        allow_unequal: Whether different budgets may be compared.

    Raises:
        ConfigError: Files or columns are missing, the questions differ, or the budgets do.
    """
    if len(names) != 2:
        raise ConfigError(
            f"--name: got {len(names)} names; expected two, such as --name visionzip-64 --name sparsezip-64"
        )
    manifests = [_manifest(folder) for folder in (first, second)]
    require_same_questions(manifests[0], manifests[1], (str(first), str(second)))
    answers, tokens = [], []
    for folder, name in zip((first, second), names, strict=True):
        table = read_table(folder / "answers.csv")
        known = [column for column in table[0] if column != "question"]
        if name not in known:
            raise ConfigError(f"{folder}/answers.csv: no configuration '{name}'; {near_matches(name, known)}")
        answers.append([row[name] for row in table])
        rows = {row["configuration"]: row for row in read_table(folder / "configurations.csv")}
        tokens.append(float(rows[name]["visual_tokens"]))
    require_equal_budgets(tokens[0], tokens[1], (names[0], names[1]), allow_unequal=allow_unequal)
    questions = read_table(first / "questions.csv")
    truths = [row["truth"] for row in questions]
    scores = [right(said, truths) for said in answers]
    found = []
    for benchmark in dict.fromkeys(row["benchmark"] for row in questions):
        own = [n for n, row in enumerate(questions) if row["benchmark"] == benchmark]
        result = compared(
            scores[0][own].tolist(), scores[1][own].tolist(), [questions[n]["picture_id"] for n in own]
        )
        found.append(
            {
                "benchmark": benchmark, "first": names[0], "second": names[1], "first_tokens": tokens[0],
                "second_tokens": tokens[1], "first_accuracy": result.first, "second_accuracy": result.second,
                "difference": result.difference, "low": result.low, "high": result.high,
                "only_first": result.only_first, "only_second": result.only_second, "p_value": result.p_value,
                "questions": result.questions, "pictures": result.pictures, "verdict": verdict(result),
            }
        )  # fmt: skip
    return found


def show(rows: Sequence[dict[str, Any]], as_json: bool) -> str:
    """Return the rows as sentences, or as JSON."""
    if as_json:
        return json.dumps(list(rows))
    lines = []
    for row in rows:
        winner = {"first": row["first"], "second": row["second"]}.get(row["verdict"])
        says = "tie" if winner is None else f"{winner} is better"
        lines.append(
            f"{row['benchmark']}: {row['first']} {row['first_accuracy']:.1%} at {row['first_tokens']:.1f} tokens, "
            f"{row['second']} {row['second_accuracy']:.1%} at {row['second_tokens']:.1f}; difference "
            f"{row['difference']:+.1%} [{row['low']:+.1%}, {row['high']:+.1%}], McNemar p {row['p_value']:.3g}, "
            f"{row['questions']} questions on {row['pictures']} pictures: {says}"
        )
    return "\n".join(lines)


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["configuration"]["questions"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path}: missing or unreadable; expected a result folder of focal sparsezip"
        ) from error
    return found
