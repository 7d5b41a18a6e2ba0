"""``focal compare``: do two runs of ``focal eval`` differ on the same questions?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from focal_common.console import output_console

FEW_PICTURES = 20
"""Below so many a percentile bootstrap covers clearly less than 95 %. Chosen here."""

app = typer.Typer(help="Compare two runs of focal eval.", add_completion=False)


@app.command()
def compare(
    run_a: Annotated[Path, typer.Argument(help="Folder of a run, OUTPUT/runs/NAME.")],
    run_b: Annotated[Path, typer.Argument(help="Folder of another run of the same tasks.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Compare question by question: exact McNemar test, and a paired bootstrap of the difference."""
    from focal_algorithm.evaluation.lmms.run_files import compare_runs

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
            "" if row["low"] is None else f"{row['low']:+.2%} to {row['high']:+.2%}",
            *counted,
            "" if row["p_value"] is None else f"{row['p_value']:.3g}",
            str(row["questions"]),
            str(row["pictures"]),
        )
    console.print(table)
    notes: dict[str, list[str]] = {}
    for row in records:
        for note in _notes(row):
            notes.setdefault(note, []).append(row["dataset"])
    for note, names in notes.items():
        console.print(f"{', '.join(names)}: {note}", markup=False)


def _notes(row: dict[str, Any]) -> Iterator[str]:
    if row["unpaired"]:
        yield f"{row['unpaired']} questions of one run only are left out"
    if row["repeated"]:
        yield f"{row['repeated']} questions that another task asks about the same picture are counted once"
    if row["unparsable_first"] or row["unparsable_second"]:
        yield (
            f"unparsable answers, counted as wrong: A {row['unparsable_first']}, B {row['unparsable_second']}"
        )
    if row["low"] is None:
        yield "no interval: the difference is the same on every picture, so nothing tells how far others may be off"
    elif row["pictures"] < FEW_PICTURES:
        yield f"{row['pictures']} pictures are few for a bootstrap; its interval is a rough guide"
    if row["p_value"] is not None and row["pictures"] < row["questions"]:
        yield (
            "McNemar's p takes questions for independent; several are about one picture, so read it with the interval, "
            "which does not"
        )
