"""The tables of a trace root, read strictly: every wrong cell is an error that names file, row and column."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from focal_common.errors import ConfigError, TraceError
from focal_common.places import plain_name
from focal_traces.synthetic.schedule import Schedule

__all__ = [
    "ADAPTIV_COLUMNS",
    "CMC_COLUMNS",
    "META_COLUMNS",
    "SCHEDULE_COLUMNS",
    "CmcSparsity",
    "Key",
    "ScheduleRow",
    "Workload",
    "read_adaptiv_sparsity",
    "read_cmc_sparsity",
    "read_rows",
    "read_schedules",
    "read_workloads",
]

Key = tuple[str, str]
"""Model and dataset."""

META_COLUMNS = ("Model", "Dataset", "Sequence length", "Num frames", "Num patches", "Median index")
ADAPTIV_COLUMNS = ("Model", "Dataset", "Sparsity")
CMC_COLUMNS = ("Model", "Dataset", "linear_sparsity", "query_sparsity", "attn_score_sparsity")
_EVERY_PAIR: Key = ("default", "")
SCHEDULE_COLUMNS = ("model", "dataset", "selected_layers", "alpha_list", "similarity_threshold")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Workload:
    """One row of ``meta_data.csv``.

    Attributes:
        model: Model name.
        dataset: Task name.
        visual_tokens: S, called "Sequence length" in the table; at least frames x patches.
        frames: F.
        patches: P, tokens per frame.
        median_index: Sample that was traced; None where the cell is empty.
    """

    model: str
    dataset: str
    visual_tokens: int
    frames: int
    patches: int
    median_index: int | None


@dataclass(frozen=True, slots=True)
class CmcSparsity:
    """One row of ``cmc_sparsity.csv``; fractions in [0, 1).

    Attributes:
        linear: Inputs of linear layers.
        query: Queries.
        attention_score: Attention probabilities.
    """

    linear: float
    query: float
    attention_score: float


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """One row of ``schedules.csv``.

    Attributes:
        schedule: Selected layers and fractions.
        similarity_threshold: Cosine above which two vectors are similar, in (0, 1].
    """

    schedule: Schedule
    similarity_threshold: float


def read_workloads(path: Path) -> dict[Key, Workload]:
    """Read ``meta_data.csv`` in file order.

    Raises:
        TraceError: Missing file or column, a model or dataset that is no plain name, a pair twice, no whole number,
            or S below frames x patches.
    """

    def row(cells: _Cells) -> Workload:
        found = Workload(
            *cells.key(META_COLUMNS),
            visual_tokens=cells.count("Sequence length", 1),
            frames=cells.count("Num frames", 1),
            patches=cells.count("Num patches", 1),
            median_index=cells.count("Median index", 0) if cells.text("Median index") else None,
        )
        if found.visual_tokens < found.frames * found.patches:
            raise TraceError(
                f"{cells.where}: 'Sequence length' is {found.visual_tokens}, expected at least 'Num frames' "
                f"x 'Num patches' = {found.frames * found.patches}"
            )
        return found

    return _table(path, META_COLUMNS, row)


def read_adaptiv_sparsity(path: Path) -> dict[Key, float]:
    """Read ``adaptiv_sparsity.csv``; see `read_workloads` for errors; sparsities lie in [0, 1)."""
    return _table(path, ADAPTIV_COLUMNS, lambda cells: cells.sparsity("Sparsity"))


def read_cmc_sparsity(path: Path) -> dict[Key, CmcSparsity]:
    """Read ``cmc_sparsity.csv``; see `read_workloads` for errors; sparsities lie in [0, 1)."""
    return _table(
        path, CMC_COLUMNS, lambda cells: CmcSparsity(*(cells.sparsity(name) for name in CMC_COLUMNS[2:]))
    )


def read_schedules(path: Path) -> dict[Key, ScheduleRow]:
    """Read ``schedules.csv``; lists are bracketed text; a row whose model is ``default`` has no dataset.

    Raises:
        TraceError: As `read_workloads`, or lists of unequal length, or a value outside its range.
    """

    def row(cells: _Cells) -> ScheduleRow:
        threshold = cells.threshold("similarity_threshold")
        layers, alphas = cells.numbers("selected_layers"), cells.numbers("alpha_list")
        if any(layer != int(layer) for layer in layers):
            raise TraceError(f"{cells.where}: 'selected_layers' must be whole numbers, got {layers}")
        try:
            return ScheduleRow(Schedule(tuple(int(layer) for layer in layers), tuple(alphas)), threshold)
        except ConfigError as error:
            raise TraceError(f"{cells.where}: {error}") from error

    return _table(path, SCHEDULE_COLUMNS, row)


def read_rows(path: Path, required: tuple[str, ...]) -> tuple[list[str], list[dict[str, str]]]:
    """Read a CSV file as text cells.

    Args:
        path: UTF-8 file with a heading.
        required: Columns that must exist; more are kept.

    Returns:
        Column names and rows, both in file order.

    Raises:
        TraceError: Missing, empty or undecodable file, a missing or repeated column, or a ragged row.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise TraceError(
            f"{path}: no such file; expected a table with columns {', '.join(required)}"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise TraceError(f"{path}: cannot be read as UTF-8 text ({error})") from error
    try:
        lines = [line for line in csv.reader(io.StringIO(text), strict=True) if line]
    except csv.Error as error:
        raise TraceError(f"{path}: not a CSV table ({error})") from error
    if not lines:
        raise TraceError(f"{path}: is empty, expected columns {', '.join(required)}")
    columns = [name.strip() for name in lines[0]]
    if missing := [name for name in required if name not in columns]:
        raise TraceError(f"{path}: column '{missing[0]}' is missing; expected {', '.join(required)}")
    if len(set(columns)) != len(columns):
        raise TraceError(f"{path}: a column name occurs twice in {', '.join(columns)}")
    for number, line in enumerate(lines[1:], start=1):
        if len(line) != len(columns):
            raise TraceError(f"{path}, row {number}: {len(line)} cells, expected {len(columns)}")
    return columns, [dict(zip(columns, line, strict=True)) for line in lines[1:]]


def _table(path: Path, columns: tuple[str, ...], parse: Callable[[_Cells], T]) -> dict[Key, T]:
    _, rows = read_rows(path, columns)
    table: dict[Key, T] = {}
    first_row: dict[Key, int] = {}
    for number, row in enumerate(rows, start=1):
        cells = _Cells(row, f"{path}, row {number}")
        key = cells.key(columns)
        if columns != SCHEDULE_COLUMNS or key != _EVERY_PAIR:
            for column, name in zip(columns, key, strict=False):
                plain_name(name, f"{cells.where}: '{column}'", TraceError)
        if key in table:
            raise TraceError(
                f"{path}, row {number}: second row of model '{key[0]}', dataset '{key[1]}' (first is row "
                f"{first_row[key]}); expected exactly one"
            )
        table[key] = parse(cells)
        first_row[key] = number
    return table


@dataclass(frozen=True)
class _Cells:
    """One row, with the words that locate it in messages."""

    row: dict[str, str]
    where: str

    def text(self, name: str) -> str:
        return self.row[name].strip()

    def key(self, columns: tuple[str, ...]) -> Key:
        return self.text(columns[0]), self.text(columns[1])

    def count(self, name: str, least: int) -> int:
        try:
            value = int(self.text(name))
        except ValueError:
            value = least - 1
        if value < least:
            raise TraceError(
                f"{self.where}: '{name}' is '{self.text(name)}', expected a whole number of at least {least}"
            )
        return value

    def sparsity(self, name: str) -> float:
        return self._number(name, "[0, 1)", lambda value: 0 <= value < 1)

    def threshold(self, name: str) -> float:
        return self._number(name, "(0, 1]", lambda value: 0 < value <= 1)

    def _number(self, name: str, interval: str, is_inside: Callable[[float], bool]) -> float:
        try:
            value = float(self.text(name))
        except ValueError:
            value = float("nan")
        if not is_inside(value):
            raise TraceError(
                f"{self.where}: '{name}' is '{self.text(name)}', expected a number in {interval}"
            )
        return value

    def numbers(self, name: str) -> list[float]:
        try:
            values = json.loads(self.text(name) or "[]")
            return [float(value) for value in values]
        except (ValueError, TypeError) as error:
            raise TraceError(
                f"{self.where}: '{name}' is '{self.text(name)}', expected a list such as [3, 6, 9]"
            ) from error
