"""``focal train``: train the offline models again, and check what they have learned."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from focal_common.commit import check_writable
from focal_common.console import errors_console, output_console, track
from focal_common.errors import ConfigError

app = typer.Typer(help="Train the offline models.", no_args_is_help=True, add_completion=False)

_Output = Annotated[Path, typer.Option(help="Folder of checkpoint, log and finished model.")]
_Seed = Annotated[int, typer.Option(help="Of weights and data.")]
_Threads = Annotated[int, typer.Option(help="CPU threads.")]
_Bf16 = Annotated[bool, typer.Option(help="Round products to bf16; weights stay fp32.")]
_Device = Annotated[
    str | None,
    typer.Option(help="cpu or cuda (untried on hardware); cuda where torch sees a device if not given."),
]
_Scale = Annotated[float, typer.Option(help="Factor on the length of every stage, to try things out.")]


@app.callback()
def train() -> None:
    """Train the offline models from scratch; an interrupted training goes on where it stopped."""


def _training(name: str) -> Callable[..., None]:
    """Return the command that trains one of the models."""

    def run(
        output: _Output = Path(f"output/train/{name}"),
        seed: _Seed = 0,
        threads: _Threads = 2,
        bf16: _Bf16 = True,
        scale: _Scale = 1.0,
        device: _Device = None,
    ) -> None:
        _train(name, output, seed, threads, bf16, scale, device)

    run.__doc__ = f"Train the {name} model."
    return run


for _name in ("video", "image"):
    app.command(_name)(_training(_name))


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="video or image.")],
    weights: Annotated[Path | None, typer.Option(help="Model folder; the shipped one if not given.")] = None,
    questions: Annotated[int, typer.Option(help="Test questions, at least.")] = 1000,
    each: Annotated[
        int | None,
        typer.Option(help="Of every sub-task at least; a tenth of --questions if not given, 100 at most."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the test questions.")] = 0,
    threads: _Threads = 2,
    card: Annotated[Path | None, typer.Option(help="Write a model card here.")] = None,
    notes: Annotated[Path | None, typer.Option(help="Markdown to put into the card.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure accuracy, controls and losses under token dropping; exit 1 unless every criterion holds."""
    for option, value, least in (
        ("--questions", questions, 2),
        ("--threads", threads, 1),
        ("--seed", seed, 0),
        ("--each", questions if each is None else each, 1),
    ):
        if value < least:
            raise ConfigError(f"{option} must be at least {least}, got {value}")
    paragraphs = _paragraphs(notes)
    import torch

    from focal_algorithm.training.acceptance import checking_samples, rare_samples
    from focal_algorithm.training.recipe import recipe

    torch.set_num_threads(threads)
    chosen = recipe(name)
    from focal_algorithm.training.acceptance import measure, verdicts
    from focal_algorithm.training.export import read_trained

    model, tokenizer, facts = read_trained(name, weights)
    samples = checking_samples(name, questions, seed)
    more = rare_samples(name, samples, min(100, questions // 10) if each is None else each, seed)
    measured = measure(
        model,
        chosen,
        tokenizer,
        samples,
        more,
        lambda items: track(items, "checking", len(samples) + len(more)),
    )
    judged = verdicts(measured, model.config.text_config.num_hidden_layers)
    if card is not None:
        from focal_algorithm.training.card import model_card
        from focal_common.files import atomic_write_text

        atomic_write_text(card, model_card(chosen, facts, measured, judged, paragraphs))
    if as_json:
        accuracies = {name: dict(_accuracies(measured, name)) for name in measured.right}
        rows = [{"criterion": one.criterion, "state": one.state, "measured": one.numbers} for one in judged]
        output_console().print(json.dumps({"accuracy": accuracies, "criteria": rows}), markup=False)
    else:
        _print(measured, judged)
    if not all(one.holds for one in judged):
        raise typer.Exit(1)


def _accuracies(measured: Any, condition: str) -> list[tuple[str, float]]:
    kinds = [None, *dict.fromkeys(measured.kinds)]
    return [(kind or "all", round(measured.accuracy(condition, kind)[0], 4)) for kind in kinds]


def _print(measured: Any, judged: Any) -> None:
    table = Table(title=f"accuracy on {measured.common} questions, of sub-tasks on {len(measured.kinds)}")
    table.add_column("condition")
    for kind in ("all", *dict.fromkeys(measured.kinds)):
        table.add_column(kind, justify="right")
    for condition in measured.right:
        table.add_row(condition, *(f"{share:.2f}" for _, share in _accuracies(measured, condition)))
    table.add_row("luck", *(f"{measured.lucky(kind):.2f}" for kind in (None, *dict.fromkeys(measured.kinds))))
    console = output_console()
    console.print(table)
    for one in judged:
        console.print(f"{one.state:<9} {one.criterion}: {one.numbers}", markup=False)
    if any(one.state == "undecided" for one in judged):
        console.print("undecided: the interval holds the margin; more --questions or --each would tell")


def _paragraphs(notes: Path | None) -> str:
    """Return what a card is to say besides; read before minutes of measuring, not after."""
    if notes is None:
        return ""
    try:
        return notes.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--notes {notes}: expected a readable text file") from error


def _train(
    name: str, output: Path, seed: int, threads: int, bf16: bool, scale: float, device: str | None
) -> None:
    if threads < 1 or not 0 < scale < math.inf or seed < 0:
        raise ConfigError(
            f"--threads must be at least 1, --scale positive and --seed not negative, got {threads}, {scale}, {seed}"
        )
    if output.exists() and not output.is_dir():
        raise ConfigError(f"--output {output}: is a file, expected a folder")
    from focal.environment import require_runnable

    require_runnable()
    check_writable(output)
    import torch

    from focal_algorithm.training.checkpoint import LOG, plot_log
    from focal_algorithm.training.export import export_model, write_manifest
    from focal_algorithm.training.recipe import recipe
    from focal_algorithm.training.trainer import train as run
    from focal_algorithm.training.trainer import training_device

    torch.set_num_threads(threads)
    place = training_device(device, bf16)
    chosen = recipe(name) if scale == 1 else recipe(name).scaled(scale)
    messages = errors_console()
    messages.print(f"training on {place}", markup=False)
    run(
        chosen,
        output,
        seed=seed,
        is_bf16=bf16,
        device=place,
        track=lambda steps: track(steps, f"training the {name} model", len(range(chosen.steps))),
        tell=lambda text: messages.print(text, markup=False),
    )
    facts = export_model(chosen, output, output / "model")
    plot_log(output / LOG, output / "model" / "training.svg")
    write_manifest(output / "model", facts)
    messages.print(
        "now look at it: focal train check " + name + f" --weights {output / 'model'}", markup=False
    )
    output_console().print(str(output / "model"), markup=False)
