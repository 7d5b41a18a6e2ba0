"""What ``focal trace info`` prints of the budget ledger."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from focal_traces.work.ledger import Ledger


def ledger_table(found: Ledger) -> Table:
    """Return the lines of a ledger as a table; a value that the trace does not tell is a dash."""
    table = Table(
        "budget", "value", "unit", "origin", "basis", title=f"sample {found.sample}", title_justify="left"
    )
    for entry in found.entries:
        value = (
            "-"
            if entry.value is None
            else f"{entry.value:,.1f}"
            if entry.unit == "tokens"
            else f"{entry.value:,}"
        )
        table.add_row(entry.name, value, entry.unit, entry.origin, escape(entry.basis))
    return table
