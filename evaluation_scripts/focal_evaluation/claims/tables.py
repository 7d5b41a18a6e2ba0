"""Reads the tables of a trace root that hold what was published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from focal_common.errors import TraceError
from focal_common.reading.values import real_number
from focal_simulator.results.rows import read_rows


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of a table, cells as text.

    Raises:
        TraceError: No such file, no CSV table, a column that is missing, or a name that is no plain name.
    """
    return read_rows(path, columns, ", ".join(columns))


def number_in(row: Mapping[str, str], name: str, where: object) -> float:
    """Return a cell as a number.

    Raises:
        TraceError: It is none.
    """
    try:
        return real_number(row[name])
    except (TypeError, ValueError) as error:
        raise TraceError(
            f"{where}: {name} is '{row[name]}', expected a finite number in plain digits"
        ) from error
