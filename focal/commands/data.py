"""``focal data``: look at the procedural benchmarks."""

from __future__ import annotations

import inspect
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from focal_common.console import output_console, track
from focal_common.errors import ConfigError
from focal_common.files import atomic_path
from focal_common.reading.yaml_files import parse_yaml

app = typer.Typer(help="Procedural benchmarks.", no_args_is_help=True, add_completion=False)


@app.callback()
def data() -> None:
    """Pictures, questions and answers made from a seed."""


@app.command("list")
def list_tasks() -> None:
    """Name the benchmarks."""
    from focal_algorithm.tasks import TASKS

    for name in TASKS:
        output_console().print(name, markup=False)


@app.command()
def show(
    task: Annotated[str, typer.Argument(help="Such as shapes-video; see focal data list.")],
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    seed: Annotated[int, typer.Option(help="Of the data set.")] = 0,
    samples: Annotated[int, typer.Option(help="How many, from the first.")] = 4,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Option of the task, such as frames=8.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="PNG file to write.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder of generated data.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print questions with answers and the manifest; write the pictures as one PNG."""
    from focal_algorithm.tasks.store import contact_sheet, load_split

    if output is not None and output.suffix.lower() != ".png":
        raise ConfigError(f"--output {output}: expected a name that ends in .png")
    options = _options(settings or [])
    for name in options.keys() & inspect.signature(load_split).parameters.keys():
        raise ConfigError(
            f"--set {name}: no option of a task; seed, split, samples and cache are given as --NAME"
        )
    loaded = load_split(
        task,
        seed=seed,
        split=split,
        samples=samples,
        cache=cache,
        track=lambda items: track(items, "generating", samples),
        **options,
    )
    if output is not None:
        with atomic_path(output) as path:
            contact_sheet(loaded.samples).save(path, format="PNG")
    console = output_console()
    if as_json:
        rows = [
            {"id": one.sample_id, "questions": [asdict(q) for q in one.questions]} for one in loaded.samples
        ]
        console.print(json.dumps({"manifest": loaded.manifest, "samples": rows}), markup=False)
        return
    table = Table(title=f"{task}, {split}, seed {seed}")
    for column in ("sample", "sub-task", "question", "answer"):
        table.add_column(column)
    for sample in loaded.samples:
        for question in sample.questions:
            table.add_row(sample.sample_id, question.kind, question.text, question.answer)
    console.print(table)
    console.print(json.dumps(loaded.manifest), markup=False)
    if output is not None:
        console.print(f"pictures {output}", markup=False)


def _options(settings: list[str]) -> dict[str, Any]:
    parsed: dict[str, Any] = {}
    for setting in settings:
        field, equals, text = setting.partition("=")
        if not equals or not field.strip():
            raise ConfigError(f"--set '{setting}': expected option=value, such as frames=8")
        parsed[field.strip()] = parse_yaml(f"value: {text}", f"--set {field}")["value"]
    return parsed
