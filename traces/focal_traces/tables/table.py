"""Tables of a trace root, read strictly: every wrong cell is an error that names file, row and column."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from focal_common.commit import verify_file
from focal_common.errors import TraceError
from focal_common.places import plain_name
from focal_common.reading.csv_files import read_csv
from focal_common.reading.json_files import parse_json
from focal_common.reading.values import real_number, whole_number
from focal_traces.header.schema import MOST_TOKENS
from focal_traces.tables.rows import upsert_row

Key = tuple[str, str]
"""Model and dataset."""

T = TypeVar("T")


@dataclass(frozen=True)
class Cells:
    """One row of a table, with the words that locate it in messages."""

    row: Mapping[str, str]
    where: str

    def text(self, name: str) -> str:
        """Return a cell as text."""
        return self.row[name].strip()

    def count(self, name: str, least: int) -> int:
        """Return a whole number from ``least`` to `MOST_TOKENS`; raises `TraceError` for anything else."""
        try:
            value = whole_number(self.text(name))
        except ValueError:
            value = least - 1
        if not least <= value <= MOST_TOKENS:
            raise TraceError(
                f"{self.where}: '{name}' is '{self.text(name)}', expected a whole number from {least} to {MOST_TOKENS}"
            )
        return value

    def sparsity(self, name: str) -> float:
        """Return a number in [0, 1); raises `TraceError` for anything else."""
        return self._number(name, "[0, 1)", lambda value: 0 <= value < 1)

    def threshold(self, name: str) -> float:
        """Return a number in (0, 1]; raises `TraceError` for anything else."""
        return self._number(name, "(0, 1]", lambda value: 0 < value <= 1)

    def numbers(self, name: str) -> list[float]:
        """Return a bracketed list of numbers; raises `TraceError` for anything else."""
        try:
            values = parse_json(self.text(name) or "[]", self.where, TraceError)
        except TraceError:
            values = None
        if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
            raise TraceError(
                f"{self.where}: '{name}' is '{self.text(name)}', expected a list such as [3, 6, 9]"
            )
        return [float(value) for value in values]

    def _number(self, name: str, interval: str, is_inside: Callable[[float], bool]) -> float:
        try:
            value = real_number(self.text(name))
        except ValueError:
            value = float("nan")
        if not is_inside(value):
            raise TraceError(
                f"{self.where}: '{name}' is '{self.text(name)}', expected a number in {interval}"
            )
        return value


@dataclass(frozen=True)
class PairTable(Generic[T]):
    """The form of a table with at most one row for each model and dataset.

    Attributes:
        file: Name of the file below the trace root.
        columns: Columns that the file must have; the first two hold model and dataset.
        parse: Makes the value of a row from its cells; raises `TraceError` for a wrong one.
        texts: Makes the cells after the first two from a value; None for a table that is only read.
        fallback: Key of the row that stands for every pair without one of its own; None for none.
    """

    file: str
    columns: tuple[str, ...]
    parse: Callable[[Cells], T]
    texts: Callable[[T], Sequence[str]] | None = None
    fallback: Key | None = None

    def read(self, path: Path) -> dict[Key, T]:
        """Return the rows of a file, in file order.

        Raises:
            TraceError: Missing file or column, a model or dataset that is no plain name, a pair twice, or a wrong cell.
        """
        verify_file(path)
        _, rows = read_csv(path, self.columns)
        table: dict[Key, T] = {}
        first_row: dict[Key, int] = {}
        for number, row in enumerate(rows, start=1):
            cells = Cells(row, f"{path}, row {number}")
            key = (cells.text(self.columns[0]), cells.text(self.columns[1]))
            if key != self.fallback:
                for column, name in zip(self.columns, key, strict=False):
                    plain_name(name, f"{cells.where}: '{column}'", TraceError)
            if key in table:
                raise TraceError(
                    f"{path}, row {number}: second row of model '{key[0]}', dataset '{key[1]}' (first is row "
                    f"{first_row[key]}); expected exactly one"
                )
            table[key] = self.parse(cells)
            first_row[key] = number
        return table

    def upsert(
        self, root: Path, model: str, dataset: str, value: T, extra: Mapping[str, str] | None = None
    ) -> Path:
        """Write the row of a pair and return the file; see `upsert_row`.

        Args:
            root: Trace root.
            model: Model name.
            dataset: Dataset name.
            value: The row.
            extra: Further columns, added to the right.
        """
        assert self.texts is not None, f"{self.file} is only read"  # noqa: S101  (a mistake of the caller)
        cells = dict(zip(self.columns, (model, dataset, *self.texts(value)), strict=True))
        upsert_row(root / self.file, self.columns, cells | dict(extra or {}))
        return root / self.file


META_COLUMNS = ("Model", "Dataset", "Sequence length", "Num frames", "Num patches", "Median index")


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


def _parse(cells: Cells) -> Workload:
    found = Workload(
        cells.text("Model"),
        cells.text("Dataset"),
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


def _texts(workload: Workload) -> tuple[str, ...]:
    index = "" if workload.median_index is None else str(workload.median_index)
    return str(workload.visual_tokens), str(workload.frames), str(workload.patches), index


WORKLOADS = PairTable("meta_data.csv", META_COLUMNS, _parse, _texts)
