"""Keeps every finished point of a study, whatever kills the process.

A chunk of points has one journal: each finished point is appended to it with one write, so that a killed
process leaves all finished points behind and at most a torn last line. A finished chunk becomes a Parquet part
in one step. A finished study becomes ``results.parquet``, sorted by point.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import FileIO
from pathlib import Path
from typing import Any

import pyarrow as pa

from focal_common.commit import verify_file
from focal_common.errors import ConfigError, RunError
from focal_common.files import atomic_write_text
from focal_common.places import check_removable, make_folder, remove_folder
from focal_common.reading.json_files import as_json, read_json, sealed_line, unsealed_line
from focal_simulator.sweep.axes import Axis, Point
from focal_simulator.sweep.plan import Plan
from focal_simulator.sweep.rows import (
    FAILED,
    INDEX,
    Row,
    joined_table,
    read_rows,
    row_check,
    table_of,
    write_table,
)
from focal_simulator.sweep.study import Study


@dataclass(frozen=True, slots=True)
class Chunk:
    """Points that one task evaluates.

    Attributes:
        name: File name of its journal and its part; follows from the study alone.
        points: In order.
    """

    name: str
    points: tuple[Point, ...]


class StudyFolder:
    """The files of one study.

    Args:
        path: Output folder; every worker must see it under this path.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results = path / "results.parquet"
        self.inherited = path / "inherited.parquet"
        self.parts = path / "parts"

    def begin(self, plan: Plan) -> bool:
        """Write ``study.json``, or check that the folder belongs to this very study.

        Returns:
            Whether the folder already belonged to the study.

        Raises:
            ConfigError: It belongs to another, or to this one before it was changed; or its folder ``parts`` is not
                Focal's to remove.
            RunError: It cannot be written.
        """
        check_removable(self.parts)
        record = self.path / "study.json"
        if not record.is_file():
            # Keys unsorted: the order of components decides the last digit of real-valued sums.
            atomic_write_text(record, json.dumps(plan.record(), indent=1) + "\n")
            return False
        before = read_json(record, hint="move the folder away")
        # Through JSON as well, so that tuples and lists compare equal.
        now = as_json(plan.record())
        if before != now:
            raise ConfigError(
                f"{self.path}: was started with another study (first difference: {_difference(before, now)}); "
                "undo the change, choose another output folder, or fork it: start anew and keep what still holds",
                about=("output", "fork"),
            )
        return True

    def run_chunk(self, chunk: Chunk, row_of: Callable[[Point], Row], plan: Plan) -> int:
        """Evaluate what is missing of a chunk and write its part.

        A second process that gets the same chunk waits for the first one and then finds it done.

        Returns:
            How many points were evaluated now.

        Raises:
            RunError: The folder cannot be written; finished points are kept.
        """
        part, place = self._part(chunk), self._journal(chunk)
        try:
            make_folder(self.parts)
            if part.is_file():
                return 0
            with place.open("ab+", buffering=0) as journal:
                fcntl.flock(journal, fcntl.LOCK_EX)
                if part.is_file():
                    return 0
                rows = _read_journal(journal, plan.study)
                evaluated = 0
                for point in chunk.points:
                    if point.index not in rows:
                        rows[point.index] = row = row_of(point)
                        journal.write(sealed_line(row))
                        evaluated += 1
                write_table(table_of([rows[point.index] for point in chunk.points], plan.study.axes), part)
                place.unlink(missing_ok=True)
                return evaluated
        except OSError as error:
            raise RunError(
                f"{self.parts}: could not be written ({error.strerror or error}); finished points are kept"
            ) from error

    def rows(self, chunks: Iterable[Chunk]) -> list[Row]:
        """Return the rows of finished chunks, in order; raises `TraceError` if a part is damaged."""
        return read_rows(self._part(chunk) for chunk in chunks)

    def unfinished_points(self, chunks: Sequence[Chunk]) -> list[Point]:
        """Return the points of the chunks that are not kept yet, in order."""
        found: list[Point] = []
        for chunk in chunks:
            if self._part(chunk).is_file():
                continue
            journal = self._journal(chunk)
            # A chunk is evaluated in order, so its journal holds its first points.
            done = journal.read_bytes().count(b"\n") if journal.is_file() else 0
            found += chunk.points[done:]
        return found

    def table(self, chunks: Iterable[Chunk]) -> pa.Table:
        """Return the rows of finished chunks as a table; raises `TraceError` if a part is damaged."""
        return joined_table(self._part(chunk) for chunk in chunks)

    def finish(self, table: pa.Table, plan: Plan, answers: pa.Table | None = None) -> None:
        """Write ``results.parquet``, sorted by point, and ``answers.parquet`` if any; drop the parts they hold."""
        if answers is not None:
            write_table(answers, self.path / "answers.parquet")
        metadata = {
            "name": plan.study.name,
            "study_sha256": plan.sha256,
            "objectives": [objective.model_dump(mode="json") for objective in plan.study.objectives],
        }
        write_table(table, self.results, metadata)
        remove_folder(self.parts)

    @cached_property
    def inherited_rows(self) -> dict[str, Row]:
        """Simulated rows of an earlier study, by configuration hash, without the columns of its axes."""
        if not self.inherited.is_file():
            return {}
        return {row["configuration_sha256"]: row for row in read_rows([self.inherited])}

    def inherit(self, earlier: Iterable[Row], axes: Sequence[Axis]) -> None:
        """Keep the simulated rows of an earlier study, for `inherited_rows`.

        Args:
            earlier: Its rows.
            axes: Its axes, whose columns are not kept: the new study has its own.
        """
        theirs = {name for axis in axes for name in (axis.label, *axis.settings[0])}
        unique: dict[str, Row] = {}
        for row in earlier:
            if row["status"] != FAILED and row["seconds"] is not None:
                own = {name: value for name, value in row.items() if name not in theirs}
                unique[row["configuration_sha256"]] = own
        if unique:
            write_table(table_of(list(unique.values()), ()), self.inherited)

    def everything(self, study: Study) -> list[Row]:
        """Return every row that the folder holds of its study, finished or not, for a fork."""
        if self.results.is_file():
            verify_file(self.results)
            return read_rows([self.results])
        rows = read_rows(sorted(self.parts.glob("*.parquet")))
        for place in sorted(self.parts.glob("*.jsonl")):
            with place.open("rb", buffering=0) as journal:
                rows += _read_journal(journal, study, repair=False).values()
        return rows

    def _part(self, chunk: Chunk) -> Path:
        return self.parts / f"{chunk.name}.parquet"

    def _journal(self, chunk: Chunk) -> Path:
        return self.parts / f"{chunk.name}.jsonl"


def _read_journal(journal: FileIO, study: Study, repair: bool = True) -> dict[int, Row]:
    """Return the rows of a journal up to the first that is torn or damaged, which is cut off with all behind it."""
    rows: dict[int, Row] = {}
    is_row = row_check(study.axes, [one.metric for one in study.objectives])
    journal.seek(0)
    good = 0
    for line in journal.readall().splitlines(keepends=True):
        try:
            row = unsealed_line(line, "journal")
        except ConfigError:
            row = {}
        if not is_row(row):
            break
        rows[row[INDEX]] = row
        good += len(line)
    if repair:
        journal.truncate(good)
    return rows


def _difference(before: Any, now: Any, path: str = "") -> str:
    """Return the dotted name of the first field that differs."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in sorted({*before, *now}):
            if before.get(name) != now.get(name):
                return _difference(before.get(name), now.get(name), f"{path}.{name}" if path else name)
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for place, (old, new) in enumerate(zip(before, now, strict=True)):
            if old != new:
                return _difference(old, new, f"{path}.{place}")
    return path.removeprefix("study.") or "content"
