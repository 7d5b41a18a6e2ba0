"""Files of an evaluation: one folder per run, tables over all runs beside them, and two runs compared."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_type_hints

from focal_algorithm.evaluation.lmms.hub_tasks import dataset_of
from focal_algorithm.evaluation.lmms.scoring import ScoredAnswer
from focal_common.commit import verify_file
from focal_common.errors import ConfigError
from focal_common.files import atomic_write_text
from focal_common.places import check_names
from focal_common.reading.csv_files import read_csv
from focal_common.reading.json_files import read_json_lines, sealed, unsealed
from focal_common.statistics import compared

SAMPLES = "samples.jsonl"
SUMMARY = "summary.json"

_MEASURED = ("n", "low", "high", "unparsable", "wall_time_s", "config_sha256", "checkpoint")
ACCURACY_COLUMNS = ("model", "dataset", "method", "precision", "accuracy", "unit", "source", *_MEASURED)
"""Of ``accuracy.csv``: those of the published table, then ours."""

DSE_COLUMNS = (
    *("swept", "value", "model", "dataset", "accuracy", "unit", "source"),
    *("method", "precision"),
    *_MEASURED,
)
"""Of ``dse_*_accuracy.csv``."""

_KEYS = ("swept", "value", "model", "dataset", "method", "precision", "unit", "config_sha256")


def write_samples(folder: Path, answers: Sequence[ScoredAnswer]) -> None:
    """Write one line per question. No clock is in it: a resumed run gives the same bytes."""
    lines = (json.dumps(sealed(asdict(answer)), sort_keys=True) + "\n" for answer in answers)
    atomic_write_text(folder / SAMPLES, "".join(lines))


def read_samples(folder: Path) -> dict[tuple[str, int], ScoredAnswer]:
    """Read the answers of a run by task and question.

    Raises:
        ConfigError: No such run, or a damaged file.
    """
    path = folder / SAMPLES
    verify_file(path)
    wanted = get_type_hints(ScoredAnswer)
    answers = []
    hint = "expected the folder of a run of 'focal eval', such as OUTPUT/runs/NAME"
    for number, line in enumerate(read_json_lines(path, hint=hint), start=1):
        row = unsealed(line, f"{path}, line {number}", hint="evaluate again")
        try:
            if row.keys() != wanted.keys():
                raise ValueError(f"fields {sorted(row.keys() ^ wanted.keys())} differ")
            _check_values(row, wanted)
        except ValueError as error:
            raise ConfigError(f"{path}, line {number}: not an answer of 'focal eval' ({error})") from error
        answers.append(ScoredAnswer(**row))
    if len({(answer.task, answer.question) for answer in answers}) != len(answers):
        raise ConfigError(f"{path}: answers a question twice, expected each once")
    return {(answer.task, answer.question): answer for answer in answers}


def _check_values(row: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
    for name, kind in kinds.items():
        value = row[name]
        # Exactly: true is no number, and a score that is not written as one is none of ours.
        if type(value) is not kind:
            raise ValueError(f"field '{name}' is {value!r:.40}, expected {kind.__name__}")
    if not 0 <= row["score"] <= 1:
        raise ValueError(f"field 'score' is {row['score']}, expected 0 to 1")


def upsert_rows(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Put rows into a table; rows of the same configuration are replaced, and others kept in their order.

    Raises:
        ConfigError: The table cannot be read, has other columns, or a row of more or fewer cells.
    """
    kept = {_key(row): row for row in _read_table(path, columns)} if path.is_file() else {}
    for row in rows:
        text = {name: _text(row[name]) for name in columns}
        kept[_key(text)] = text
    target = io.StringIO()
    writer = csv.DictWriter(target, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(kept.values())
    atomic_write_text(path, target.getvalue())


def _read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    verify_file(path)
    found, rows = read_csv(path, error=ConfigError, hint="mend or move the table")
    if found != list(columns):
        raise ConfigError(f"{path}: columns are {found}, expected {list(columns)}")
    for number, row in enumerate(rows, start=1):
        check_names(row, f"{path}, row {number}", ConfigError)
    return rows


def _key(row: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(row.get(name) or "" for name in _KEYS)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if isinstance(value, float) else str(value)


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
