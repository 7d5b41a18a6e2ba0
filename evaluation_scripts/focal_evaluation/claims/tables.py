"""Reads the tables of a trace root that hold what was published."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from focal_common.errors import TraceError
from focal_common.places import check_names


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of a table, cells as text.

    Raises:
        TraceError: No such file, no CSV table, a column that is missing, or a name that is no plain name.
    """
    try:
        with path.open(encoding="utf-8", newline="") as source:
            reader = csv.DictReader(source, strict=True)
            rows = list(reader)
            found = reader.fieldnames or ()
    except FileNotFoundError as error:
        raise TraceError(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TraceError(f"{path}: not a CSV table ({error})") from error
    if missing := [name for name in columns if name not in found]:
        raise TraceError(f"{path}: column '{missing[0]}' is missing; expected {', '.join(columns)}")
    for number, row in enumerate(rows, start=1):
        check_names(row, f"{path}, row {number}")
    return rows


def number_in(row: Mapping[str, str], name: str, where: object) -> float:
    """Return a cell as a number.

    Raises:
        TraceError: It is none.
    """
    try:
        return float(row[name])
    except (TypeError, ValueError) as error:
        raise TraceError(f"{where}: {name} is '{row[name]}', expected a number") from error
