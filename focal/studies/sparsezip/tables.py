"""CSV files of a run: equal results give equal bytes."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from focal_common.files import atomic_write_text

__all__ = ["read_table", "write_table"]


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> None:
    """Write rows with the union of their columns; a cell that a row lacks is empty.

    Args:
        path: To write.
        rows: Any number.
        columns: Header where there are no rows; else the columns in order of appearance.
    """
    names = list(dict.fromkeys((*columns, *(name for row in rows for name in row))))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _shown(value) for name, value in row.items()})
    atomic_write_text(path, text.getvalue())


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a table as text cells."""
    with path.open(encoding="utf-8", newline="") as source:
        return list(csv.DictReader(source))


def _shown(value: Any) -> Any:
    # Six digits: the last bits of a float differ between machines, and a reader needs none of them.
    return f"{value:.6g}" if isinstance(value, float) else value
