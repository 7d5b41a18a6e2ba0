"""Text rows of CSV tables: read strictly, and added or replaced one at a time, safely from many processes at once.

A row is replaced where it stands, a new row goes to the end: the order is that of first insertion.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from focal_common.commit import verify_file
from focal_common.errors import TraceError
from focal_common.files import atomic_write_text, file_lock


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
    verify_file(path)
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


def upsert_row(path: Path, columns: tuple[str, ...], cells: Mapping[str, str], num_keys: int = 2) -> None:
    """Replace the row with the same key columns, or append it; keep all other rows and columns as they are.

    Args:
        path: CSV file; created with a heading if absent.
        columns: Columns the file must have.
        cells: Text by column name.
        num_keys: How many of ``columns`` make up the key.

    Raises:
        TraceError: The existing file is not such a table.
        RunError: The file cannot be written; the old one is untouched.
    """
    keys = columns[:num_keys]
    with file_lock(path.with_name(f".{path.name}.lock")):
        names, rows = read_rows(path, columns) if path.exists() else (list(columns), [])
        names += [name for name in cells if name not in names]
        is_new = True
        for row in rows:
            if all(row[key].strip() == cells[key] for key in keys):
                row.update(cells)
                is_new = False
        if is_new:
            rows.append(dict(cells))
        text = io.StringIO()
        writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        atomic_write_text(path, text.getvalue())
