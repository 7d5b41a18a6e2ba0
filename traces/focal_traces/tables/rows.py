"""Text rows of CSV tables: read strictly, and added or replaced one at a time, safely from many processes at once.

A row is replaced where it stands, a new row goes to the end: the order is that of first insertion.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from focal_common.files import atomic_write_text, file_lock
from focal_common.reading.csv_files import read_csv


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
        names, rows = read_csv(path, columns) if path.exists() else (list(columns), [])
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
