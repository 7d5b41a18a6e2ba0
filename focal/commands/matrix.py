"""``focal matrix``: many runs from one file, resumable."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from focal.commands.spread import Device, Spread, print_unfinished, spread_options
from focal_common.console import errors_console, output_console
from focal_common.errors import ConfigError, near_matches
from focal_common.reading.values import whole_number

if TYPE_CHECKING:
    from focal_algorithm.matrix.rows import MatrixRow
    from focal_algorithm.matrix.schema import Matrix
    from focal_algorithm.matrix.work import MatrixTask

app = typer.Typer(
    help="Run a matrix of models, datasets and methods.", invoke_without_command=True, add_completion=False
)


@app.callback()
@spread_options
def matrix(
    *,
    profile: Annotated[
        str,
        typer.Option(
            help="offline: trained small models, no network; paper: the published matrix; or a YAML file."
        ),
    ] = "offline",
    only: Annotated[
        str,
        typer.Option(
            help="Suites or patterns over row names, such as cmc,focus/*/mlvu; all traces if empty."
        ),
    ] = "",
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep finished samples and answers of an earlier call.")
    ] = False,
    samples: Annotated[int, typer.Option(min=0, help="Samples per row; 0 for those of the matrix.")] = 0,
    choose: Annotated[
        str, typer.Option(help="Sample that simulations take: median, or its number; the matrix's if empty.")
    ] = "",
    checkpoint: Annotated[
        list[str] | None, typer.Option(help="MODEL=FOLDER or Hub name, in place of the matrix's; repeatable.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder with a folder of files per dataset, for rows that trace.")
    ] = None,
    device: Device = "",
    offline: Annotated[
        bool, typer.Option("--offline", help="Local files only, whatever the matrix allows.")
    ] = False,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Let Python code that checkpoints bring along run.")
    ] = False,
    batch: Annotated[
        str,
        typer.Option(
            metavar="N|auto", help="Questions in a batch, for rows of accuracy; auto: as the memory allows."
        ),
    ] = "1",
    spread: Spread,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 leaves torch's choice.")] = 0,
    check: Annotated[
        bool, typer.Option("--check", help="Only build models without weights and methods; run nothing.")
    ] = False,
    list_rows: Annotated[bool, typer.Option("--list", help="Name the rows and leave.")] = False,
    output: Annotated[Path, typer.Option(help="Trace root to write into.")] = Path("output"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run rows one after another: one result per sample, a trace per row; a failed row leaves its reason."""
    from focal.environment import require_runnable
    from focal_algorithm.matrix.rows import chosen_rows
    from focal_algorithm.matrix.schema import read_matrix
    from focal_algorithm.matrix.work import MatrixTask

    found = read_matrix(profile)
    device = device or ("cuda" if spread.devices else "")
    suites = {row.suite_name for row in chosen_rows(found, only)}
    found = _changed(found, suites, samples, choose, checkpoint or [], device, offline, trust_remote_code)
    rows = chosen_rows(found, only)
    if not (list_rows or check):
        spread.device(found.device)
    if list_rows:
        names = [row.name for row in rows]
        output_console().print(json.dumps(names) if as_json else "\n".join(names), markup=False)
        return
    require_runnable()
    if check:
        _check(rows, as_json)
        return
    _check_places(found, rows, data)
    _check_batch(batch, rows)
    task = MatrixTask(found, tuple(rows), output, data, threads or int(spread.is_spread), batch)
    _run(task, resume, spread, as_json)


def _changed(
    found: Matrix,
    suites: set[str],
    samples: int,
    choose: str,
    checkpoints: list[str],
    device: str,
    is_offline: bool,
    trust_remote_code: bool,
) -> Matrix:
    """Return the matrix with what the command line says in place of its own."""
    from focal_algorithm.matrix.schema import Matrix, check_names
    from focal_common.config import validated

    tree = found.model_dump(exclude_unset=True)
    for name in suites:
        suite = tree["suites"][name]
        suite |= {"samples": samples} if samples else {}
        if choose:
            suite["choose"] = choose
            with suppress(ValueError):
                suite["choose"] = whole_number(choose)
    for word in checkpoints:
        name, equals, place = word.partition("=")
        if not equals or not place:
            raise ConfigError(f"--checkpoint '{word}': expected MODEL=FOLDER or MODEL=HUB_NAME")
        if name not in tree["models"]:
            raise ConfigError(f"--checkpoint '{name}': {near_matches(name, tree['models'])}")
        tree["models"][name] |= {"checkpoint": place, "revision": ""}
    if trust_remote_code:
        tree["models"] = {name: model | {"trust_remote_code": True} for name, model in tree["models"].items()}
    tree |= {"device": device} if device else {}
    tree |= {"hub": False} if is_offline else {}
    return check_names(validated(Matrix, tree, "command line"), "command line")


def _check_places(found: Matrix, rows: list[MatrixRow], data: Path | None) -> None:
    """Refuse a device or a folder that is not there before the first row, as none could run."""
    from focal_algorithm.checkpoints.places import check_device

    check_device(found.device)
    if data is None:
        return
    if not data.is_dir():
        raise ConfigError(f"--data {data}: no such folder; expected one with a folder of files per dataset")
    if not any(row.suite.measure == "trace" and row.dataset.hub for row in rows):
        errors_console().print(
            "note: --data is not read: no chosen row traces files, and accuracy takes its data through lmms-eval",
            markup=False,
        )


def _check_batch(batch: str, rows: list[MatrixRow]) -> None:
    from focal_algorithm.tasks.asking import read_batch

    if read_batch(batch) != 1 and all(row.suite.measure == "trace" for row in rows):
        raise ConfigError(
            f"--batch {batch}: no chosen row measures accuracy, and rows that trace take one prompt at a time, because "
            "the rounding of a batch moves vectors on the edge of a threshold, and so the counts; leave it out"
        )


def _run(task: MatrixTask, is_resumed: bool, spread: Spread, as_json: bool) -> None:
    from focal_algorithm.matrix.run import RESULTS_NAME
    from focal_algorithm.matrix.work import work_matrix

    rows, output = task.rows, task.output
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors_console(), transient=True, disable=spread.is_spread) as bar:
        shown = bar.add_task("matrix", total=task.units)
        runner = task.runner(
            is_resumed, lambda text: bar.console.print(f"note: {text}", markup=False), spread.shard
        )
        if spread.is_spread:
            runner.begin(rows)
            spread.run(work_matrix, task, lambda: runner.finished_units(rows), task.units, "matrix")
            failed = runner.gather(rows)
        else:
            failed = runner.run(rows, _step(bar, shown))
    if spread.shard is not None and (left := runner.unfinished(rows)):
        print_unfinished(spread.shard, output, len(rows) - len(left), len(rows))
        if failed:
            raise typer.Exit(1)
        return
    tables = list(dict.fromkeys(str(output / one["table"]) for one in runner.accuracies))
    results = output / RESULTS_NAME
    if as_json:
        facts = {"rows": len(rows), "failed": [row.name for row in failed], "results": str(results)}
        output_console().print(json.dumps(facts | {"tables": tables}), markup=False)
    else:
        if runner.accuracies:
            output_console().print(_accuracy_table(runner.accuracies))
        done = f"{len(rows) - len(failed)} of {len(rows)} rows done"
        output_console().print(f"{done}; wrote {', '.join([str(results), *tables])}", markup=False)
    if failed:
        raise typer.Exit(1)


def _accuracy_table(accuracies: list[dict[str, Any]]) -> Table:
    table = Table("row", title="accuracy with 95 % interval")
    for column in ("accuracy", "interval", "questions", "unparsable"):
        table.add_column(column, justify="right")
    for one in accuracies:
        unit = "%" if one["unit"] == "percent" else one["unit"]
        interval = "" if one["low"] is None else f"{one['low']:.2f} to {one['high']:.2f}"
        counts = (str(one["questions"]), str(one["unparsable"]))
        table.add_row(escape(one["row"]), f"{one['accuracy']:.2f} {unit}", interval, *counts)
    return table


def _step(bar: Progress, task: Any) -> Callable[[str], None]:
    return lambda name: bar.update(task, description=name, advance=1)


def _count(billions: float) -> str:
    return f"{billions:.2f}e9" if billions >= 0.1 else f"{1e3 * billions:.2f}e6"


def _check(rows: list[MatrixRow], as_json: bool) -> None:
    from focal_algorithm.matrix.rows import check_rows

    checked = check_rows(rows)
    if as_json:
        facts = [{"row": one.name, "problem": one.problem, "billions": one.billions} for one in checked]
        output_console().print(json.dumps(facts), markup=False)
    else:
        table = Table("row", "parameters of the model", "problem")
        for one in checked:
            table.add_row(escape(one.name), _count(one.billions) if one.billions else "", escape(one.problem))
        output_console().print(table)
    if any(one.problem for one in checked):
        raise typer.Exit(1)
