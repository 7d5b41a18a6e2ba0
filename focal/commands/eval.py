"""``focal eval``: accuracy of a model with a method attached, through lmms-eval."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from focal.commands.spread import Precision, Spread, print_unfinished, spread_options
from focal_common.console import errors_console, output_console
from focal_common.errors import ConfigError
from focal_common.reading.yaml_files import parse_yaml

if TYPE_CHECKING:
    from focal_algorithm.evaluation.lmms.evaluation import Run

app = typer.Typer(help="Accuracy through lmms-eval.", add_completion=False)

_TEXTS = ("model", "pretrained", "revision", "frame_tasks")
"""Never numbers, whatever they look like: a commit may be all digits."""


@app.command()
@spread_options
def evaluate(
    *,
    tasks: Annotated[
        str, typer.Option(help="Separated by commas; --list_tasks names ours.")
    ] = "shapes-video",
    model: Annotated[
        str, typer.Option(help="Shipped model, family with random weights, checkpoint folder, or Hub name.")
    ] = "shapes_video",
    method: Annotated[str, typer.Option(help="Compression method, such as focus or dense.")] = "dense",
    precision: Precision = "float",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Parameter of the method, field=value.")
    ] = None,
    budget: Annotated[
        str,
        typer.Option(
            help="Published setting of the method for so many visual tokens, 64, or such a share, 22.2%."
        ),
    ] = "",
    model_args: Annotated[
        str,
        typer.Option(
            "--model_args",
            help="name=value,...: revision, size, seed, dtype, precision, device (device_map), attention, frames.",
        ),
    ] = "",
    batch_size: Annotated[
        str,
        typer.Option(
            "--batch",
            "--batch_size",
            metavar="N|auto",
            help="Questions in a batch; auto: as the memory allows.",
        ),
    ] = "1",
    limit: Annotated[
        float, typer.Option(help="First so many questions of each task, or a part below 1.")
    ] = -1,
    log_samples: Annotated[
        bool, typer.Option("--log_samples", help="Also write lmms-eval's own result and sample files.")
    ] = False,
    output_path: Annotated[
        Path, typer.Option("--output_path", "--output", help="Folder of tables and runs.")
    ] = Path("output/accuracy"),
    sweep: Annotated[
        str, typer.Option(help="field=value,value,...: once per value; writes dse_AXIS_accuracy.csv.")
    ] = "",
    profile: Annotated[str, typer.Option(help="offline: local files only; hub: may download.")] = "offline",
    threads: Annotated[int, typer.Option(help="CPU threads; 0 leaves torch's choice.")] = 0,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run Python code that a checkpoint brings along.")
    ] = False,
    spread: Spread,
    list_tasks: Annotated[bool, typer.Option("--list_tasks", help="Name the tasks and leave.")] = False,
    include_path: Annotated[
        Path | None,
        typer.Option("--include_path", help="Folder of task files of your own, as for lmms-eval."),
    ] = None,
    print_include_path: Annotated[
        bool,
        typer.Option("--print_include_path", help="Print the folder of our task files, for lmms-eval's CLI."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Ask a model the questions of some tasks and write its accuracy; an interrupted evaluation goes on."""
    if print_include_path or list_tasks:
        _print_places(print_include_path)
        return
    _check_counts(limit, threads)
    from focal_algorithm.evaluation.lmms.options import Sweep
    from focal_algorithm.evaluation.lmms.request import Request, set_environment
    from focal_algorithm.methods.budgeted import given_parameters

    set_environment(profile == "offline")
    given: dict[str, Any] = {"model": model, "method": method, "profile": profile, "batch_size": batch_size}
    given |= {"precision": precision, "trust_remote_code": trust_remote_code}
    given |= {"parameters": given_parameters(method, settings or [], budget)}
    given |= {"device": "cuda"} if spread.devices else {}
    request = Request.read(
        given | _arguments(model_args),
        tasks=tuple(name.strip() for name in tasks.split(",") if name.strip()),
        output=output_path,
        limit=None if limit == -1 else limit,
        logs_samples=log_samples,
        sweep=Sweep.read(sweep) if sweep else None,
        include=include_path,
    )
    spread.device(request.options.device)
    if threads:
        import torch

        torch.set_num_threads(threads)
    if not spread.is_spread:
        runs = request.run(shard=spread.shard)
    else:
        from focal_algorithm.evaluation.lmms.request import work_evaluation

        found = spread.run(work_evaluation, (request, threads or 1), request.answered, None, "answering")
        runs = max(found, key=len)
    if not runs:
        print_unfinished(spread.shard, output_path)
        return
    _print(runs, as_json)


def _check_counts(limit: float, threads: int) -> None:
    is_count = limit > 0 and (limit < 1 or limit.is_integer())  # neither holds for nan; inf is no integer
    if limit != -1 and not is_count:
        raise ConfigError(
            f"--limit must be positive, a whole number of questions or a part below 1, or -1 for all, got {limit:g}"
        )
    if threads < 0:
        raise ConfigError(f"--threads must be at least 0, got {threads}")


def _print_places(is_path: bool) -> None:
    from focal_algorithm.evaluation.lmms import TASK_FOLDER, local_tasks
    from focal_algorithm.evaluation.lmms.hub_tasks import HUB_TASKS

    console = output_console()
    if is_path:
        console.print(str(TASK_FOLDER), markup=False)
        return
    for name in local_tasks():
        console.print(f"{name:<20} local, generated", markup=False)
    for name, known in HUB_TASKS.items():
        console.print(f"{name:<20} {known.task} of lmms-eval, data {known.data} from the Hub", markup=False)


def _arguments(text: str) -> dict[str, Any]:
    parsed: dict[str, Any] = {}
    for word in filter(None, (word.strip() for word in text.split(","))):
        name, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f"--model_args '{word}': expected name=value, such as dtype=bf16")
        is_text = name.startswith("method.") or name in _TEXTS
        parsed[name] = value if is_text else parse_yaml(f"value: {value}", f"--model_args {name}")["value"]
    return parsed


def _print(runs: list[Run], as_json: bool) -> None:
    for run in runs:
        for note in run.notes:
            errors_console().print(f"note: {note}", markup=False)
    if as_json:
        records = [{"folder": str(run.folder), "resumed": run.resumed} | run.summary for run in runs]
        output_console().print(json.dumps(records, default=str), markup=False)
        return
    table = Table(title="accuracy with 95 % interval")
    for column in ("model", "task", "method", "accuracy", "interval", "questions", "unparsable", "seconds"):
        table.add_column(column, justify="left" if column in ("model", "task", "method") else "right")
    for row in (row for run in runs for row in run.rows):
        interval = "" if row["low"] is None else f"{row['low']:.2f} to {row['high']:.2f}"
        unit = "%" if row["unit"] == "percent" else row["unit"]
        counts = (str(row["n"]), str(row["unparsable"]), f"{row['wall_time_s']:.1f}")
        names = (row["model"], row["dataset"], row["method"])
        table.add_row(*names, f"{row['accuracy']:.2f} {unit}", interval, *counts)
    console = output_console()
    console.print(table)
    for run in runs:
        console.print(f"run {run.folder}", markup=False)
