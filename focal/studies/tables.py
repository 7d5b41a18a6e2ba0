"""CSV files of studies: equal results give equal bytes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from focal_common.files import atomic_write_text


def write_table(
    path: Path, rows: Iterable[Mapping[str, Any]], columns: Iterable[str] = (), digits: int = 6
) -> None:
    """Write what `table_text` returns."""
    atomic_write_text(path, table_text(rows, columns, digits))


def table_text(rows: Iterable[Mapping[str, Any]], columns: Iterable[str] = (), digits: int = 6) -> str:
    """Return rows as CSV with the union of their columns; a cell that a row lacks, or that is None, is empty.

    Args:
        rows: Any number.
        columns: First columns, and the header where there are no rows; the rest follow in order of appearance.
        digits: Significant digits of floats: the last bits differ between machines, and a reader needs none of them.
    """
    rows = list(rows)
    names = list(dict.fromkeys((*columns, *(name for row in rows for name in row))))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {
                name: f"{value:.{digits}g}" if isinstance(value, float) else value
                for name, value in row.items()
            }
        )
    return text.getvalue()
