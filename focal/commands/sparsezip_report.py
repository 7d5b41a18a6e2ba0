"""``focal sparsezip-report``: summary and pictures from the tables of ``focal sparsezip``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from focal_common.console import errors_console, output_console

__all__ = ["app"]

app = typer.Typer(help="Summary and pictures from the tables of focal sparsezip.", add_completion=False)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="Result folder of focal sparsezip.")],
    parser: Annotated[
        str, typer.Option(help="How an answer is read: repo (first word yes or no) or official (POPE's own).")
    ] = "repo",
) -> None:
    """Write summary_final.csv and pictures; exit code 1 if a configuration failed."""
    from focal.studies.sparsezip.summary import write_report

    written, failed = write_report(folder, parser)
    for path in written:
        output_console().print(f"wrote {path}", markup=False)
    if failed:
        errors_console().print(
            f"partial: {failed} configurations failed; summary_final.csv has a row with the reason of each",
            markup=False,
        )
        raise typer.Exit(1)
