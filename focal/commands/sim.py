"""The verb ``focal sim``: arguments only."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from focal.commands.running import run_command
from focal_common.console import errors_console, output_console
from focal_common.errors import ConfigError, near_matches

if TYPE_CHECKING:
    from focal_simulator.results.request import Report

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_SRAM = ("auto", "compiler", "cacti")
_STUDIES = ("dse_a_m_tile", "dse_b_vector_size", "dse_c_block_size", "dse_d_scatter")
"""Packaged studies of what ``--sweep`` did up to version 0.1."""


def comma_separated(text: str) -> tuple[str, ...]:
    """Return the words between commas."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


@app.command()
def sim(
    trace: Annotated[
        Path | None,
        typer.Option(help="Trace root (folder with meta_data.csv) or one trace file.", show_default=False),
    ] = None,
    gemms: Annotated[
        Path | None,
        typer.Option(
            help="In place of a trace: a CSV file with columns Layer, M, N, K, or a config.json (docs/gemms.md)."
        ),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Prompts side by side.")] = 1,
    tokens: Annotated[int, typer.Option(min=0, help="Of a config.json: text tokens of a prompt.")] = 0,
    pictures: Annotated[int, typer.Option(min=0, help="Of a config.json: frames of a video.")] = 0,
    visual_tokens: Annotated[
        int, typer.Option(min=0, help="Of a config.json: visual tokens; the model's own layout if not given.")
    ] = 0,
    patches: Annotated[
        str, typer.Option(help="Of a config.json: patches of a picture, rows x columns, such as 27x27.")
    ] = "",
    accelerator: Annotated[
        str,
        typer.Option(
            help="Names or hardware files (docs/adding_an_accelerator.md) separated by commas, or all."
        ),
    ] = "all",
    fidelity: Annotated[
        str,
        typer.Option(
            help="Model level: cycle (every tile timed; the default), or parity (the published simulator; the "
            "default and only level of --tile-lengths).",
            show_default=False,
        ),
    ] = "",
    corrections: Annotated[
        str,
        typer.Option(help="Of fidelity cycle: all, none, names, or all,-NAME; see docs/corrections.md."),
    ] = "all",
    output: Annotated[Path, typer.Option(help="Folder for tables, figure and manifest.")] = Path(
        "focal_results"
    ),
    model: Annotated[str, typer.Option(help="Only these models, separated by commas.")] = "",
    dataset: Annotated[str, typer.Option(help="Only these datasets, separated by commas.")] = "",
    variant: Annotated[
        str, typer.Option(help="Trace folder, such as focus_main or focus_int8.")
    ] = "focus_main",
    hardware: Annotated[Path | None, typer.Option(help="Hardware YAML in place of a preset.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Hardware field=value, such as core.array_columns=64, where an accelerator has the field.",
        ),
    ] = None,
    dram: Annotated[
        str, typer.Option(help="Memory of every accelerator: a preset or a YAML file (docs/dram_model.md).")
    ] = "",
    sram: Annotated[str, typer.Option(help="Buffer costs: auto (as published), compiler, cacti.")] = "auto",
    sweep: Annotated[str, typer.Option(hidden=True)] = "",
    tile_lengths: Annotated[
        bool, typer.Option("--tile-lengths", help="Histogram of tile lengths; needs a mask trace.")
    ] = False,
    figure: Annotated[bool, typer.Option(help="Draw the headline figure.")] = True,
    published_layout: Annotated[
        bool,
        typer.Option(
            help="Also write the tables of the published artifact, such as main_focus.csv; "
            "the default of python simulator/run.py."
        ),
    ] = False,
    precision: Annotated[
        str,
        typer.Option(
            help="fp16, or int8: operands of 1 byte, sums of 4, INT8 multipliers (estimated); single operands by "
            "--set precision.partial_sums=fp32 (docs/hardware_prices.md)."
        ),
    ] = "fp16",
    whole_model: Annotated[
        bool,
        typer.Option("--whole-model", help="Also time vision tower, projector, text, LM head and decode."),
    ] = False,
    model_shape: Annotated[
        str,
        typer.Option(help="Shape of the whole model: a preset or a config.json; the trace's if not given."),
    ] = "",
    generate: Annotated[
        int, typer.Option(min=0, help="Decode steps of --whole-model or of a config.json.")
    ] = 0,
    timeline: Annotated[
        Path | None, typer.Option(help="Write a Perfetto timeline of one run, such as out.json.gz.")
    ] = None,
    timeline_layer: Annotated[
        str, typer.Option(help="GEMM whose units are shown, such as 9.o_proj; the longest if not given.")
    ] = "",
    timeline_cycles: Annotated[int, typer.Option(help="Cycles of that GEMM to show.")] = 100_000,
    export: Annotated[
        list[str] | None,
        typer.Option(
            help="Write one run for another tool, FORMAT=PATH: topology (SCALE-Sim), accelergy, dramsim3, ramulator2 "
            "(docs/gemms.md)."
        ),
    ] = None,
    export_layer: Annotated[
        str,
        typer.Option(help="GEMM whose requests dramsim3 and ramulator2 get, such as 9.o_proj; all if empty."),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print rows and paths as JSON.")] = False,
) -> None:
    """Simulate traces on accelerators: cycles, time, energy, area, and a figure."""
    if sweep:
        study = next((name for name in _STUDIES if name.endswith(sweep)), _STUDIES[0])
        raise ConfigError(
            f"--sweep {sweep}: design spaces have a verb of their own; expected 'focal sweep {study}'"
        )
    if sram not in _SRAM:
        raise ConfigError(f"--sram '{sram}': {near_matches(sram, _SRAM)}")
    from focal_evaluation.exhibits.headline import draw
    from focal_simulator.results.request import Request
    from focal_simulator.results.run import run_request
    from focal_simulator.results.work import given_workload
    from focal_simulator.whole_model.given import Prompt

    given = None
    if gemms is not None:
        rows, columns = _patches(patches)
        prompt = Prompt(
            batch=batch,
            tokens=tokens,
            pictures=pictures,
            visual_tokens=visual_tokens or None,
            patch_rows=rows,
            patch_columns=columns,
            generated_tokens=generate,
        )
        given, generate = given_workload(gemms, prompt), 0
    elif (tokens, pictures, visual_tokens, patches) != (0, 0, 0, ""):
        raise ConfigError(
            "--tokens, --pictures, --visual-tokens and --patches say what --gemms holds; expected --gemms"
        )
    request = Request(
        trace=trace,
        given=given,
        accelerators=comma_separated(accelerator),
        fidelity=fidelity or ("parity" if tile_lengths else "cycle"),
        corrections=corrections,
        output=output,
        models=comma_separated(model),
        datasets=comma_separated(dataset),
        variant=variant,
        hardware=hardware,
        overrides=(*([f"dram_system={dram}"] if dram else []), *(overrides or ())),
        sram=sram,  # type: ignore[arg-type]  # checked above
        tile_lengths=tile_lengths,
        draw=draw if figure else None,
        published_layout=published_layout,
        batch=1 if given is not None else batch,
        precision=precision,
        whole_model=whole_model or bool(model_shape) or generate > 0,
        model_shape=model_shape,
        generated_tokens=generate,
        timeline=timeline,
        timeline_layer=timeline_layer,
        timeline_cycles=timeline_cycles,
        exports=tuple(_export(text) for text in export or ()),
        export_layer=export_layer,
    )
    report = run_request(request)
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=1))
    else:
        show_report(report)


def _export(text: str) -> tuple[str, Path]:
    """Return format and path."""
    kind, equals, path = text.partition("=")
    if not (equals and kind.strip() and path.strip()):
        raise ConfigError(f"--export is '{text}', expected FORMAT=PATH, such as topology=out.csv")
    return kind.strip(), Path(path.strip())


def _patches(text: str) -> tuple[int | None, int | None]:
    """Return rows and columns of patches; nothing for empty text."""
    if not text:
        return None, None
    found = re.fullmatch("([0-9]{1,9})x([0-9]{1,9})", text)
    if found is None:
        raise ConfigError(f"--patches is '{text}', expected rows x columns, such as 27x27")
    return int(found[1]), int(found[2])


def show_report(report: Report) -> None:
    """Print tables, notes and written paths."""
    console = output_console()
    for table in report.tables:
        console.print(table)
    for note in report.notes:
        errors_console().print(f"note: {note}", markup=False)
    for path in report.paths:
        console.print(f"wrote {path}", markup=False)


def main(published_layout: bool = False) -> int:
    """Run with the words of the command line; return the exit code.

    Args:
        published_layout: Write the published tables unless the words say otherwise.
    """
    # First, so that --no-published-layout has the last word.
    return run_command(app, [*(["--published-layout"] if published_layout else []), *sys.argv[1:]])
