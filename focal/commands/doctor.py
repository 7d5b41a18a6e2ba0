"""``focal doctor``: what is installed, what is supported for a model, and what would stop a run."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from focal_common.console import output_console
from focal_common.errors import ConfigError

app = typer.Typer(help="Look at the environment.", invoke_without_command=True, add_completion=False)


@app.callback()
def doctor(
    model: Annotated[
        str | None,
        typer.Option(help="Also look at this shipped model, family, checkpoint folder or Hub name."),
    ] = None,
    profile: Annotated[str, typer.Option(help="offline: local files only; hub: may download.")] = "offline",
    trust_remote_code: Annotated[
        bool,
        typer.Option("--trust-remote-code", help="As if the code that a checkpoint brings were allowed."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Report versions, device, threads, shipped models and a model; exit 1 if something would stop a run."""
    from focal.environment import checks, require_runnable

    if profile not in ("offline", "hub"):
        raise ConfigError(f"--profile must be offline or hub, got '{profile}'")
    found = checks()
    if model is not None:
        require_runnable()
        from focal.support import model_checks

        found += model_checks(model, profile == "offline", trust_remote_code)
    console = output_console()
    if as_json:
        console.print(json.dumps([asdict(check) for check in found]), markup=False)
    else:
        table = Table()
        for column in ("subject", "found", "advice"):
            table.add_column(column)
        for check in found:
            table.add_row(*(escape(cell) for cell in (check.subject, check.found, check.advice)))
        console.print(table)
    if any(check.advice for check in found):
        raise typer.Exit(1)
