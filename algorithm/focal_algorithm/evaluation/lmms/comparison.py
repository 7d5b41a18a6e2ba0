"""Two runs of `focal eval`, compared question by question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from focal_algorithm.evaluation.lmms.hub_tasks import dataset_of
from focal_algorithm.evaluation.lmms.run_files import read_samples
from focal_algorithm.evaluation.lmms.scoring import ScoredAnswer
from focal_common.errors import ConfigError
from focal_common.statistics import compared

__all__ = ["compare_runs"]

Place = tuple[str, int]
"""Task and number of a question."""


def compare_runs(first: Path, second: Path) -> list[dict[str, Any]]:
    """Compare the questions that both runs answered, over all tasks and per data set.

    Args:
        first: Folder of a run.
        second: Likewise.

    Returns:
        One record per data set, and ``all`` if there are several: the fields of `Comparison`, how many questions
        only one of the runs answered, how many were left out because they had been asked about the same picture
        already, and unparsable answers of each. ``low`` and ``high`` are None where no picture differs from another.

    Raises:
        ConfigError: No common question, or a question that differs between the runs.
    """
    ours, theirs = read_samples(first), read_samples(second)
    common = [key for key in ours if key in theirs]
    if not common:
        raise ConfigError(f"{first} and {second} have no question in common; expected runs of the same tasks")
    for task, number in common:
        if ours[task, number].digest != theirs[task, number].digest:
            raise ConfigError(
                f"task '{task}', question {number}: {first} and {second} asked different questions; expected the "
                "same data in both"
            )
    datasets = list(dict.fromkeys(dataset_of(task) for task, _ in common))
    groups: dict[str, set[str]] = {name: {name} for name in datasets}
    if len(datasets) > 1:
        groups["all"] = set(datasets)
    records = []
    for name, members in groups.items():
        shared = [key for key in common if dataset_of(key[0]) in members]
        keys = _distinct(shared, ours, theirs)
        found = compared(
            [ours[key].score for key in keys],
            [theirs[key].score for key in keys],
            [_picture(ours[key]) for key in keys],
        )
        is_known = found.low < found.high
        unpaired = sum(dataset_of(task) in members for task, _ in ours.keys() ^ theirs.keys())
        records.append(
            {"dataset": name}
            | asdict(found)
            | ({} if is_known else {"low": None, "high": None})
            | {
                "unpaired": unpaired,
                "repeated": len(shared) - len(keys),
                "unparsable_first": sum(not ours[key].is_parsable for key in keys),
                "unparsable_second": sum(not theirs[key].is_parsable for key in keys),
            }
        )
    return records


def _picture(answer: ScoredAnswer) -> str:
    """Return what tells pictures apart, in all tasks: variants of one benchmark may show the same."""
    return answer.pixels_sha256 or f"{dataset_of(answer.task)} {answer.picture}"


def _distinct(
    keys: Sequence[Place], ours: Mapping[Place, ScoredAnswer], theirs: Mapping[Place, ScoredAnswer]
) -> list[Place]:
    """Leave out questions that were asked before of the same pixels with the same outcome: they say nothing new."""
    kept: dict[Any, Place] = {}
    for key in keys:
        one, other = ours[key], theirs[key]
        same = (one.pixels_sha256, one.text, one.target, one.answer, other.answer)
        kept.setdefault(same if one.pixels_sha256 else key, key)
    return list(kept.values())
