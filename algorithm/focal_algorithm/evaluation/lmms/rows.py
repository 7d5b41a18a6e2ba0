"""From the answers of a task to its rows in the accuracy table."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from focal_algorithm.evaluation.lmms.engine import TaskOutcome
from focal_algorithm.evaluation.lmms.hub_tasks import HUB_TASKS
from focal_algorithm.evaluation.lmms.scoring import ScoredAnswer
from focal_common.provenance import package_versions
from focal_common.statistics import Accuracy, accuracy

__all__ = ["accuracy_by_kind", "accuracy_rows"]

_SCORE_METRICS = ("mme_perception_score", "mme_cognition_score", "mme_score")
"""Aggregates that published tables give as a score instead of a percentage; a task's are added up."""


def accuracy_rows(shared: dict[str, Any], task: str, outcome: TaskOutcome) -> list[dict[str, Any]]:
    """Return the rows of one task: accuracy in percent and, for MME, its score.

    Args:
        shared: Fields of every row, ``checkpoint`` among them.
        task: As it was asked for.
        outcome: Of that task.
    """
    versions = package_versions("focal-vlm", "lmms-eval")
    is_random = str(shared["checkpoint"]).startswith("random:")
    source = f"measured{' on random weights' if is_random else ''}, " + ", ".join(
        f"{name} {found}" for name, found in versions.items() if name != "python"
    )
    found = accuracy([one.score for one in outcome.answers], [one.picture for one in outcome.answers])
    unparsable = sum(not one.is_parsable for one in outcome.answers)
    shared = shared | {"source": source, "n": found.questions, "unparsable": unparsable}
    shares = {"accuracy": found.mean} | _interval(found)
    percent = {name: None if value is None else 100 * value for name, value in shares.items()}
    rows = [shared | {"unit": "percent"} | percent]
    scores = [
        value
        for own in outcome.metrics.values()
        for name, value in own.items()
        if name in _SCORE_METRICS and (task not in HUB_TASKS or HUB_TASKS[task].unit == "score")
    ]
    if scores:
        pairs = _pairs(outcome.answers) or outcome.answers
        counts = {"n": len(pairs), "unparsable": sum(not one.is_parsable for one in pairs)}
        score = {"unit": "score", "accuracy": float(math.fsum(scores)), "low": None, "high": None}
        rows.append(shared | counts | score)
    return rows


def _pairs(answers: tuple[ScoredAnswer, ...]) -> list[ScoredAnswer]:
    """Return the questions that MME's score counts: both of a picture; a limit may leave out the second."""
    asked = Counter((one.task, one.picture) for one in answers)
    return [one for one in answers if asked[one.task, one.picture] == 2]


def accuracy_by_kind(answers: tuple[ScoredAnswer, ...]) -> dict[str, dict[str, float | None]]:
    """Return accuracy with its interval, as fractions, by sub-task."""
    found: dict[str, dict[str, float | None]] = {}
    for kind in sorted({answer.kind for answer in answers}):
        own = [answer for answer in answers if answer.kind == kind]
        share = accuracy([one.score for one in own], [one.picture for one in own])
        found[kind] = {
            "accuracy": share.mean,
            **_interval(share),
            "n": share.questions,
            "unparsable": sum(not one.is_parsable for one in own),
        }
    return found


def _interval(found: Accuracy) -> dict[str, float | None]:
    """Return the interval; none where no picture differs from another, since resampling them then tells nothing."""
    is_known = found.low < found.high
    return {"low": found.low if is_known else None, "high": found.high if is_known else None}
