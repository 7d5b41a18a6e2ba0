"""``focal arena``: every method at equal budget on the offline models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from focal.commands.method_table import print_lines
from focal_algorithm.models.weights import SHIPPED
from focal_common.commit import check_writable
from focal_common.console import errors_console, output_console, track
from focal_common.errors import ConfigError, UnsupportedError, near_matches
from focal_common.reading.values import real_number

if TYPE_CHECKING:
    from focal.studies.arena.plan import ModelFolder
    from focal.studies.arena.run import ArenaResult

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def arena(
    context: typer.Context,
    output: Annotated[Path, typer.Option(help="Folder for tables, page, manifest and finished parts.")],
    study: Annotated[
        str,
        typer.Option(
            help="A study that ships, engine_pruning, or a YAML file; options given beside it go over it."
        ),
    ] = "",
    model: Annotated[
        list[str] | None,
        typer.Option("--model", help="NAME=FOLDER of a checkpoint; repeatable. Default: the shipped models."),
    ] = None,
    models: Annotated[str, typer.Option(help="Only these of the models, separated by commas.")] = "",
    methods: Annotated[
        str,
        typer.Option(
            help="Names, or files such as mine.py, by commas; dense always runs. all: published ones and variants."
        ),
    ] = "all",
    budgets: Annotated[
        str, typer.Option(help="Shares of what the dense model spends, separated by commas.")
    ] = "0.5,0.25,0.125",
    match: Annotated[
        str, typer.Option(help="What is equal: tokens (equivalent visual tokens, layer mean) or macs.")
    ] = "tokens",
    tasks: Annotated[
        str, typer.Option(help="Procedural benchmarks; each model answers those of its kind.")
    ] = "shapes-video,shapes-pope,shapes-mme",
    questions: Annotated[int, typer.Option(help="First so many of each benchmark; 0 for all.")] = 1000,
    traced: Annotated[
        int, typer.Option(help="Questions on which budgets are solved, counts taken, hardware simulated.")
    ] = 8,
    seed: Annotated[int, typer.Option(help="Chooses the traced questions.")] = 0,
    simulate: Annotated[
        bool, typer.Option(help="Simulate the traced questions on every accelerator.")
    ] = True,
    resume: Annotated[
        bool, typer.Option(help="Go on where an earlier call stopped; --no-resume does everything again.")
    ] = True,
    workers: Annotated[int, typer.Option("--workers", "-j", help="Processes of one thread each.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print rows as JSON instead of a table.")] = False,
) -> None:
    """Compare all methods at equal budget: accuracy measured, cycles and energy simulated."""
    if workers < 1:
        raise ConfigError(f"--workers must be at least 1, got {workers}")
    from focal.studies.arena.plan import DEFAULT_CANDIDATES, ArenaPlan
    from focal.studies.arena.study import study_settings

    given: dict[str, Any] = {
        "models": models,
        "methods": methods,
        "budgets": budgets,
        "match": match,
        "tasks": tasks,
    }
    given |= {"questions": questions, "traced": traced, "seed": seed}
    if study:
        given |= {
            name: value for name, value in study_settings(study, given).items() if _is_default(context, name)
        }
    if model and _is_default(context, "models"):
        given["models"] = ""  # a study names those that ship
    plan = ArenaPlan(
        models=_models(model or [], _words(given["models"])),
        benchmarks=_words(given["tasks"]),
        methods=DEFAULT_CANDIDATES if given["methods"] == "all" else _words(given["methods"]),
        budgets=tuple(_share(part) for part in _words(given["budgets"])),
        quantity=given["match"],
        questions=given["questions"],
        traced=given["traced"],
        seed=given["seed"],
        simulates=simulate,
    )
    from focal.environment import require_runnable

    require_runnable()
    check_writable(output)
    from focal.studies.arena.run import run_arena

    result = run_arena(plan, output, workers, not resume, lambda steps, total: track(steps, "arena", total))
    if as_json:
        output_console().print(json.dumps(result.rows), markup=False)
        return
    _print(result)


def _is_default(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "DEFAULT"


def _models(given: list[str], chosen: tuple[str, ...]) -> tuple[ModelFolder, ...]:
    from focal.studies.arena.plan import ModelFolder
    from focal_algorithm.models.weights import shipped_model

    found = [ModelFolder.read(text) for text in given]
    if not found:
        found = [ModelFolder(name, str(shipped_model(name))) for name in SHIPPED]
    if not found:
        raise UnsupportedError("no trained model ships with this version; give --model NAME=FOLDER")
    names = [one.name for one in found]
    for name in chosen:
        if name not in names:
            raise ConfigError(f"--models '{name}': {near_matches(name, names)}")
    return tuple(one for one in found if not chosen or one.name in chosen)


def _words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _share(part: str) -> float:
    try:
        return real_number(part)
    except ValueError as error:
        raise ConfigError(f"--budgets '{part}': expected shares such as 0.5,0.25") from error


def _print(result: ArenaResult) -> None:
    from focal.studies.arena.table import arena_lines

    lines = arena_lines(result.rows)
    for model, benchmark in dict.fromkeys((line["model"], line["benchmark"]) for line in lines):
        own = [line for line in lines if (line["model"], line["benchmark"]) == (model, benchmark)]
        print_lines(f"{benchmark}, {model}: accuracy measured; cycles and energy simulated, prefill", own)
    console = output_console()
    for reason in dict.fromkeys(f"{row['method']}: {row['reason']}" for row in result.rows if row["reason"]):
        errors_console().print(f"note: {reason}", markup=False)
    for path in result.files.values():
        console.print(f"wrote {path}", markup=False)
    console.print(f"{result.wall_time_s:.0f} s", markup=False)
