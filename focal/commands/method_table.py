"""Prints the table with one row a method of `focal.studies.arena.table`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from focal_common.console import output_console


def print_lines(title: str, lines: Sequence[Mapping[str, Any]]) -> None:
    """Print lines under a title."""
    from focal.studies.arena.table import LEFT, table_cells

    headings, cells = table_cells(lines)
    table = Table(title=escape(title), padding=(0, 0))
    for heading in headings:
        is_name = heading == "method"
        broken = heading if "%" in heading else heading.replace(" ", "\n")
        table.add_column(broken, justify="left" if heading in LEFT else "right", no_wrap=is_name)
    for line in cells:
        table.add_row(*map(escape, line))
    output_console().print(table)
