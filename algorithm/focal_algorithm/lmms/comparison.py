"""Two runs of `focal eval`, compared question by question."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from focal_algorithm.lmms.hub_tasks import dataset_of
from focal_algorithm.lmms.run_files import read_samples
from focal_algorithm.lmms.statistics import compared
from focal_common.errors import ConfigError

__all__ = ["compare_runs"]


def compare_runs(first: Path, second: Path) -> list[dict[str, Any]]:
    """Compare the questions that both runs answered, over all tasks and per data set.

    Args:
        first: Folder of a run.
        second: Likewise.

    Returns:
        One record per data set, and ``all`` if there are several: the fields of `Comparison`, how many questions
        only one of the runs answered, and unparsable answers of each.

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
        keys = [key for key in common if dataset_of(key[0]) in members]
        found = compared(
            [ours[key].score for key in keys],
            [theirs[key].score for key in keys],
            [f"{key[0]} {ours[key].picture}" for key in keys],
        )
        unpaired = sum(dataset_of(task) in members for task, _ in ours.keys() ^ theirs.keys())
        records.append(
            {"dataset": name}
            | asdict(found)
            | {
                "unpaired": unpaired,
                "unparsable_first": sum(not ours[key].is_parsable for key in keys),
                "unparsable_second": sum(not theirs[key].is_parsable for key in keys),
            }
        )
    return records
