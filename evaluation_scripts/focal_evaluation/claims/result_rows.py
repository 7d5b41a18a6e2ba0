"""Reads the result files of the published experiments by exhibit, subject and column."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from focal_common.errors import TraceError
from focal_common.places import check_names
from focal_evaluation.claims.claims import Key, Reproduced

__all__ = ["RESULT_FILES", "ResultRow", "Results", "numbers_of_rows", "read_available", "read_results"]


@dataclass(frozen=True, slots=True)
class ResultFile:
    """Where an exhibit's rows are and which columns name one.

    Attributes:
        name: CSV file in the result folder.
        subject: Columns whose joined values are the claim's subject.
    """

    name: str
    subject: tuple[str, ...]


_PAIR = ("model", "dataset")

RESULT_FILES = {
    "main_dense": ResultFile("main_dense.csv", _PAIR),
    "main_adaptiv": ResultFile("main_adaptiv.csv", _PAIR),
    "main_cmc": ResultFile("main_cmc.csv", _PAIR),
    "main_focus": ResultFile("main_focus.csv", _PAIR),
    "main_focus_sec_only": ResultFile("main_focus_sec_only.csv", _PAIR),
    "int8_focus": ResultFile("int8_focus.csv", _PAIR),
    "dse_m_tile": ResultFile("dse_a_m_tile_size.csv", ("m_tile_size",)),
    "dse_vector": ResultFile("dse_b_vector_size.csv", ("vector_size",)),
    "dse_block": ResultFile("dse_c_block_size.csv", ("block_size",)),
    "dse_scatter": ResultFile("dse_d_num_scatter_accumulator.csv", ("num_scatter",)),
    "table_iii": ResultFile("accelerator_area_power_buffer.csv", ("Accelerator",)),
    "breakdown": ResultFile("detailed_power_area_breakdown.csv", ("component",)),
}

_SUMMARY_COLUMNS = {"Area": "area", "On-chip Power": "on_chip_power", "Buffer Size": "buffer_size"}
_SUMMARY_NAMES = {"systolic array": "dense"}
_SWEPT_PAIR = {"dse_scatter": ("llava_vid", "videomme")}


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One row: its numeric columns and how they came to be."""

    numbers: dict[str, float]
    origin: str

    def __getitem__(self, column: str) -> float:
        return self.numbers[column]


Results = dict[str, dict[str, ResultRow]]
"""Rows by exhibit and subject, in file order."""


def read_results(folder: Path) -> Results:
    """Read every result file of the published experiments.

    Raises:
        TraceError: A file is missing or lacks a column.
    """
    return {exhibit: _read(folder / file.name, file, exhibit) for exhibit, file in RESULT_FILES.items()}


def read_available(folder: Path, prefix: str = "") -> Results:
    """Read the result files that a folder holds, whichever they are.

    Args:
        folder: Result folder.
        prefix: Start of the names of the result files; sweeps have none and belong to fidelity parity.

    Raises:
        TraceError: A file lacks a column.
    """
    return {
        exhibit: _read(folder / f"{prefix}{file.name}", file, exhibit)
        for exhibit, file in RESULT_FILES.items()
        if (folder / f"{prefix}{file.name}").exists()
    }


def _read(path: Path, file: ResultFile, exhibit: str) -> dict[str, ResultRow]:
    rows: dict[str, ResultRow] = {}
    try:
        with path.open(encoding="utf-8", newline="") as source:
            for number, cells in enumerate(csv.DictReader(source), start=1):
                check_names(cells, f"{path}, row {number}")
                wanted = _SWEPT_PAIR.get(exhibit)
                if wanted is not None and (cells["model"], cells["dataset"]) != wanted:
                    continue
                subject = "/".join(cells[column] for column in file.subject)
                numbers = {
                    _SUMMARY_COLUMNS.get(column, column): float(text)
                    for column, text in cells.items()
                    if _is_number(text)
                }
                rows[_SUMMARY_NAMES.get(subject, subject)] = ResultRow(numbers, cells.get("origin", ""))
    except (OSError, KeyError) as error:
        raise TraceError(f"{path}: expected a result file with column {', '.join(file.subject)}") from error
    return rows


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def numbers_of_rows(results: Results) -> dict[Key, Reproduced]:
    """Return every numeric cell of the result files as a number of ours."""
    return {
        (exhibit, subject, column): Reproduced(value, row.origin)
        for exhibit, rows in results.items()
        for subject, row in rows.items()
        for column, value in row.numbers.items()
    }
