"""The rows of a result folder as the published tables name them: by exhibit, subject and column."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from focal_common.errors import TraceError
from focal_common.reading.values import real_number
from focal_evaluation.claims.claims import Key, Reproduced
from focal_simulator.results.published_layout import STUDIES, published_tables
from focal_simulator.results.rows import file_prefix

_PAIR = ("model", "dataset")
_MAIN = ("main_dense", "main_adaptiv", "main_cmc", "main_focus", "main_focus_sec_only", "int8_focus")
_STUDIES = {
    "dse_m_tile": "dse_a_m_tile",
    "dse_vector": "dse_b_vector_size",
    "dse_block": "dse_c_block_size",
    "dse_scatter": "dse_d_scatter",
}
_FILES = {
    **{name: (f"{name}.csv", _PAIR) for name in _MAIN},
    **{exhibit: (STUDIES[study][0], (STUDIES[study][1],)) for exhibit, study in _STUDIES.items()},
    "table_iii": ("accelerator_area_power_buffer.csv", ("Accelerator",)),
    "breakdown": ("detailed_power_area_breakdown.csv", ("component",)),
}
"""Published table of each exhibit, and the columns whose joined values are a claim's subject."""

_SUMMARY_COLUMNS = {"Area": "area", "On-chip Power": "on_chip_power", "Buffer Size": "buffer_size"}
_SUMMARY_NAMES = {"systolic array": "dense"}
_SWEPT_PAIR = {"dse_scatter": ("llava_vid", "videomme")}


class AbsentCellError(TraceError):
    """A row lacks a number that is asked of it."""


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One row: its numeric columns and how they came to be; a column that it lacks is an `AbsentCellError`."""

    numbers: dict[str, float]
    origin: str

    def __getitem__(self, column: str) -> float:
        if column not in self.numbers:
            raise AbsentCellError(
                f"the results have a row without a number '{column}' beside {', '.join(self.numbers) or 'no other'}; "
                "simulate again into an empty folder"
            )
        return self.numbers[column]


PublishedRows = dict[str, dict[str, ResultRow]]
"""Rows by exhibit and subject, in the order of the tables."""


def read_published_rows(folder: Path, fidelity: str = "parity") -> PublishedRows:
    """Return the rows of the published experiments that a result folder holds.

    Args:
        folder: Result folder.
        fidelity: Of the rows; design spaces exist in parity only.

    Raises:
        TraceError: A table is damaged.
    """
    tables = published_tables(folder)
    return {
        exhibit: _by_subject(exhibit, tables[name], subject)
        for exhibit, (file, subject) in _FILES.items()
        if (name := f"{file_prefix(fidelity)}{file}") in tables
    }


def _by_subject(exhibit: str, rows: list[dict[str, str]], subject: tuple[str, ...]) -> dict[str, ResultRow]:
    found = {}
    for row in rows:
        if exhibit in _SWEPT_PAIR and (row["model"], row["dataset"]) != _SWEPT_PAIR[exhibit]:
            continue
        name = "/".join(row[column] for column in subject)
        numbers = {
            _SUMMARY_COLUMNS.get(column, column): real_number(text)
            for column, text in row.items()
            if _is_number(text)
        }
        found[_SUMMARY_NAMES.get(name, name)] = ResultRow(numbers, row.get("origin", ""))
    return found


def _is_number(text: str) -> bool:
    try:
        real_number(text)
    except ValueError:
        return False
    return True


def numbers_of_rows(results: PublishedRows) -> dict[Key, Reproduced]:
    """Return every numeric cell as a number of ours."""
    return {
        (exhibit, subject, column): Reproduced(value, row.origin)
        for exhibit, rows in results.items()
        for subject, row in rows.items()
        for column, value in row.numbers.items()
    }
