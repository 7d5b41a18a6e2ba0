"""The one reader of CSV tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection
from pathlib import Path

from focal_common.errors import FocalError, TraceError
from focal_common.reading.doors import one_line, read_text


def parse_lines(
    text: str, where: str, error: type[FocalError] = TraceError, hint: str = ""
) -> list[list[str]]:
    """Return the cells of each line of CSV text; none of an empty line.

    Raises:
        FocalError: Not CSV, or text with a zero byte.
    """
    try:
        if "\0" in text:
            raise csv.Error("a zero byte")
        return list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as problem:
        raise error(
            f"{where}: not a CSV table ({one_line(problem)}){f'; {hint}' if hint else ''}"
        ) from problem


def parse_csv(
    text: str,
    where: str,
    required: Collection[str] = (),
    error: type[FocalError] = TraceError,
    expected: str = "",
    hint: str = "",
) -> tuple[list[str], list[dict[str, str]]]:
    """Read CSV text as text cells.

    Args:
        text: With a heading.
        where: File name for messages.
        required: Columns that must exist; more are kept.
        error: What to raise.
        expected: What a refusal says of a table without one of them; their names if empty.
        hint: Ends the sentence, such as what to do.

    Returns:
        Column names without blanks around them, and rows, both in file order.

    Raises:
        FocalError: Empty or no CSV, a missing or repeated column, or a ragged row.
    """
    end = f"; {hint}" if hint else ""
    lines = [line for line in parse_lines(text, where, error, hint) if line]
    expected = expected or ", ".join(required)
    if not lines:
        raise error(f"{where}: is empty, expected {expected or 'a table'}{end}")
    columns = [name.strip() for name in lines[0]]
    if missing := [name for name in required if name not in columns]:
        raise error(f"{where}: column '{missing[0]}' is missing, expected {expected}{end}")
    if len(set(columns)) != len(columns):
        raise error(f"{where}: a column name occurs twice in {', '.join(columns)}{end}")
    for number, line in enumerate(lines[1:], start=1):
        if len(line) != len(columns):
            raise error(
                f"{where}, row {number}: {len(line)} cells, expected {len(columns)} cells, one for each column{end}"
            )
    return columns, [dict(zip(columns, line, strict=True)) for line in lines[1:]]


def read_csv(
    path: Path,
    required: Collection[str] = (),
    error: type[FocalError] = TraceError,
    expected: str = "",
    hint: str = "",
) -> tuple[list[str], list[dict[str, str]]]:
    """Read a CSV file as text cells; see `parse_csv` and `read_text`."""
    return parse_csv(read_text(path, error, hint=hint), str(path), required, error, expected, hint)
