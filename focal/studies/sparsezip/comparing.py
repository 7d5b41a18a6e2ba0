"""Two configurations of result folders, compared question by question."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from focal.studies.sparsezip.analysis import right, verdict
from focal.studies.sparsezip.budgets import require_equal_budgets
from focal.studies.sparsezip.questions import require_same_questions
from focal.studies.sparsezip.results import Results, read_results
from focal_common.errors import ConfigError, near_matches
from focal_common.statistics import compared


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
        ConfigError: A configuration is unknown, the questions differ, or the budgets do.
        TraceError: A folder is not whole.
    """
    if len(names) != 2:
        raise ConfigError(
            f"--name: got {len(names)} names; expected two, such as --name visionzip-64 --name sparsezip-64"
        )
    runs = [read_results(folder) for folder in (first, second)]
    ours, theirs = map(_question_manifest, runs)
    require_same_questions(ours, theirs, (str(first), str(second)))
    tokens = [_tokens(run, name) for run, name in zip(runs, names, strict=True)]
    require_equal_budgets(tokens[0], tokens[1], (names[0], names[1]), allow_unequal=allow_unequal)
    questions = runs[0].questions
    scores = [
        right(run.answers[name].astype(str), questions["truth"])
        for run, name in zip(runs, names, strict=True)
    ]
    rows = []
    for benchmark in questions["benchmark"].unique():
        own = (questions["benchmark"] == benchmark).to_numpy()
        found = compared(
            scores[0][own].tolist(), scores[1][own].tolist(), questions["picture_id"][own].tolist()
        )
        rows.append(
            {
                "benchmark": benchmark, "first": names[0], "second": names[1], "first_tokens": tokens[0],
                "second_tokens": tokens[1], "first_accuracy": found.first, "second_accuracy": found.second,
                "difference": found.difference, "low": found.low, "high": found.high,
                "only_first": found.only_first, "only_second": found.only_second, "p_value": found.p_value,
                "questions": found.questions, "pictures": found.pictures, "verdict": verdict(found),
            }
        )  # fmt: skip
    return rows


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


def _question_manifest(run: Results) -> dict[str, Any]:
    try:
        found: dict[str, Any] = run.manifest["configuration"]["questions"]
    except (KeyError, TypeError) as error:
        raise ConfigError(
            f"{run.folder / 'manifest.json'}: does not say which questions were asked; expected a result folder of "
            "focal sparsezip"
        ) from error
    return found


def _tokens(run: Results, name: str) -> float:
    """Return the visual tokens of a finished configuration, averaged over layers and questions."""
    known = [column for column in run.answers if column != "question"]
    if name not in known:
        raise ConfigError(f"{run.folder}/answers.csv: no configuration '{name}'; {near_matches(name, known)}")
    configurations = run.configurations.set_index("configuration")
    return float(configurations.loc[name, "visual_tokens"])
