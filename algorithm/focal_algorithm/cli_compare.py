"""``focal compare``: do two runs of ``focal eval`` differ on the same questions?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from focal_common.console import output_console

__all__ = ["app"]

app = typer.Typer(help="Compare two runs of focal eval.", add_completion=False)


@app.command()
def compare(
    run_a: Annotated[Path, typer.Argument(help="Folder of a run, OUTPUT/runs/NAME.")],
    run_b: Annotated[Path, typer.Argument(help="Folder of another run of the same tasks.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Compare question by question: exact McNemar test, and a paired bootstrap of the difference."""
    from focal_algorithm.lmms.comparison import compare_runs

    records = compare_runs(run_a, run_b)
    console = output_console()
    if as_json:
        console.print(json.dumps(records), markup=False)
        return
    table = Table(title=f"A {run_a.name}, B {run_b.name}")
    table.add_column("task")
    for column in ("A", "B", "A - B", "95 % interval", "only A", "only B", "McNemar p", "n", "pictures"):
        table.add_column(column, justify="right")
    for row in records:
        counted = ("" if row[name] is None else str(row[name]) for name in ("only_first", "only_second"))
        table.add_row(
            row["dataset"],
            f"{row['first']:.2%}",
            f"{row['second']:.2%}",
            f"{row['difference']:+.2%}",
            f"{row['low']:+.2%} to {row['high']:+.2%}",
            *counted,
            "" if row["p_value"] is None else f"{row['p_value']:.3g}",
            str(row["questions"]),
            str(row["pictures"]),
        )
    console.print(table)
    for row in records:
        if row["unpaired"]:
            console.print(
                f"{row['dataset']}: {row['unpaired']} questions of one run only are left out", markup=False
            )
        if row["unparsable_first"] or row["unparsable_second"]:
            console.print(
                f"{row['dataset']}: unparsable answers, counted as wrong: A {row['unparsable_first']}, "
                f"B {row['unparsable_second']}",
                markup=False,
            )
