"""The verb ``focal gpu``: roofline estimates of whole inferences, arguments only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from focal.commands.running import run_command
from focal_common.console import errors_console, output_console

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def gpu(
    gpus: Annotated[str, typer.Option("--gpu", help="Names separated by commas, or all.")] = "all",
    model: Annotated[str, typer.Option(help="Shapes of published models, separated by commas, or all.")] = "",
    trace: Annotated[
        Path | None, typer.Option(help="Trace file whose token counts and model shape are taken.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="CSV file to write.")] = None,
    generated_tokens: Annotated[int, typer.Option(help="Decode steps after the prefill.")] = 0,
    batch: Annotated[int, typer.Option(help="Prompts side by side.")] = 1,
    compute_efficiency: Annotated[
        float | None, typer.Option(help="Share of the peak rate reached, in (0, 1].")
    ] = None,
    memory_efficiency: Annotated[
        float | None, typer.Option(help="Share of the bandwidth reached, in (0, 1].")
    ] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", help="GPU field=value.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print rows as JSON.")] = False,
) -> None:
    """Estimate whole inferences on GPUs from published peaks: vision tower, prefill, LM head, decode."""
    from focal_simulator.gpu.report import GpuRequest, gpu_rows, gpu_table, write_gpu_csv

    given = list(overrides or [])
    given += [] if compute_efficiency is None else [f"compute_efficiency={compute_efficiency}"]
    given += [] if memory_efficiency is None else [f"memory_efficiency={memory_efficiency}"]
    request = GpuRequest(
        gpus=_words(gpus),
        models=_words(model),
        trace=trace,
        generated_tokens=generated_tokens,
        batch=batch,
        overrides=tuple(given),
    )
    rows, notes = gpu_rows(request)
    if output is not None:
        write_gpu_csv(rows, output)
    if as_json:
        typer.echo(json.dumps({"rows": rows, "notes": notes}, indent=1))
        return
    output_console().print(gpu_table(rows))
    for note in notes:
        errors_console().print(f"note: {note}", markup=False)
    if output is not None:
        output_console().print(f"wrote {output}", markup=False)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def main() -> int:
    """Run with the words of the command line; return the exit code."""
    return run_command(app)
