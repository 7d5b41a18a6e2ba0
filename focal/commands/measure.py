"""``focal measure``: accuracy and trace of a method in one run, for design-space studies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from focal.commands.spread import Device, Spread, print_unfinished, spread_options
from focal_common.console import output_console, track

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
@spread_options
def measure(
    *,
    model: Annotated[
        str, typer.Option(help="Shipped model, checkpoint folder, or family with random weights.")
    ] = "shapes_video",
    size: Annotated[
        str | None, typer.Option(help="Size of a random model: small or tiny.", show_default="small")
    ] = None,
    method: Annotated[str, typer.Option(help="Compression method, such as focus or dense.")] = "focus",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Parameter of the method, field=value.")
    ] = None,
    budget: Annotated[
        str,
        typer.Option(
            help="Published setting of the method for so many visual tokens, 64, or such a share, 22.2%."
        ),
    ] = "",
    task: Annotated[str, typer.Option(help="Procedural benchmark.")] = "shapes-video",
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    data_seed: Annotated[int, typer.Option("--data-seed", help="Of the benchmark.")] = 0,
    questions: Annotated[int, typer.Option(help="How many are asked.")] = 400,
    samples: Annotated[int, typer.Option(help="How many of them are traced.")] = 9,
    seed: Annotated[int, typer.Option(help="Of random weights.")] = 0,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 leaves torch's choice.")] = 0,
    device: Device = "cpu",
    batch: Annotated[
        str,
        typer.Option(
            metavar="N|auto",
            help="Most questions about a picture in one batch, where the method does not read them; auto: all.",
        ),
    ] = "auto",
    spread: Spread,
    output: Annotated[Path, typer.Option(help="Trace root to write.")] = Path("output/measured"),
    is_identity: Annotated[
        bool,
        typer.Option("--identity", help="Print the hash of all that decides the result, and the parameters."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Ask a model questions under a method; write the trace of some and the accuracy of all."""
    from focal.studies.measure.settings import MeasureSettings
    from focal_algorithm.methods.budgeted import given_parameters
    from focal_algorithm.models import random_size

    wanted = MeasureSettings(
        model=model,
        size=random_size(model, size),
        method=method,
        task=task,
        split=split,
        data_seed=data_seed,
        questions=questions,
        samples=samples,
        seed=seed,
        threads=threads or int(spread.is_spread),
        device=spread.device(device),
        batch=batch,
    )
    if is_identity:
        typer.echo(wanted.identity())
        # On a line of its own: the hash decides what was measured before, the names do not.
        typer.echo(json.dumps({"parameters": wanted.parameters()}))
        return
    parameters = given_parameters(method, settings or [], budget)
    from focal.environment import require_runnable
    from focal_algorithm.methods.build import build_method

    build_method(method, parameters)
    require_runnable()
    from focal.studies.measure.session import Session, work_measurement

    session = Session(wanted)
    if spread.is_spread:
        journal = session.journal(parameters, output)
        context = (wanted, parameters, output)
        spread.run(work_measurement, context, lambda: len(journal.finished()), session.num_units, "asking")
    metrics = session.measure(
        parameters, output, lambda items, total: track(items, "asking", total), spread.shard
    )
    if metrics is None:
        print_unfinished(spread.shard, output)
        return
    _show(metrics, output, as_json)


def _show(metrics: dict[str, float], output: Path, as_json: bool) -> None:
    console = output_console()
    if as_json:
        console.print(json.dumps({"metrics": metrics, "output": str(output)}), markup=False)
        return
    console.print(
        f"accuracy {metrics['accuracy']:.2f} % [{metrics['accuracy_low']:.2f}, {metrics['accuracy_high']:.2f}], "
        f"{metrics['questions']:.0f} questions (measured)",
        markup=False,
    )
    console.print(
        f"visual tokens kept {metrics['kept_tokens']:.1f} %, zero or similar vectors "
        f"{metrics['vector_sparsity']:.1f} % (measured on the traced samples)",
        markup=False,
    )
    console.print(f"wrote {output}", markup=False)
