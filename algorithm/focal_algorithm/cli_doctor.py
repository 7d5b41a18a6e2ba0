"""``focal doctor``: what is installed, and what would stop a run."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from focal_common.console import output_console

__all__ = ["app"]

app = typer.Typer(help="Look at the environment.", invoke_without_command=True, add_completion=False)


@app.callback()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Report versions, the torchvision trap, device and threads; exit 1 if something would stop a run."""
    from focal_algorithm.environment import checks

    found = checks()
    console = output_console()
    if as_json:
        console.print(json.dumps([asdict(check) for check in found]), markup=False)
    else:
        table = Table()
        for column in ("subject", "found", "advice"):
            table.add_column(column)
        for check in found:
            table.add_row(check.subject, check.found, check.advice)
        console.print(table)
    if any(check.advice for check in found):
        raise typer.Exit(1)
