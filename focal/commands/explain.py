"""The verb ``focal explain``: the arithmetic behind the cycles of one layer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from focal_common.console import output_console

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def explain(
    result: Annotated[Path, typer.Argument(help="Result folder of focal sim, or one *_layers.parquet file.")],
    layer: Annotated[
        str,
        typer.Option(
            help="Block and layer, such as 9.o_proj or 9.attn.scores; all kinds of layers without it."
        ),
    ] = "",
    accelerator: Annotated[str, typer.Option(help="Whose result.")] = "focus",
    model: Annotated[str, typer.Option(help="Model of the workload, if the folder holds several.")] = "",
    dataset: Annotated[str, typer.Option(help="Dataset of the workload.")] = "",
    variant: Annotated[str, typer.Option(help="Start of the file names: main or int8.")] = "main",
) -> None:
    """Show how long each unit was busy in a layer, what bounds it, and where every cycle went; or sums over blocks."""
    from focal_simulator.results.explain import explain as explained
    from focal_simulator.results.explain import find_row, layer_sums, read_layers, workload_rows

    path, rows = read_layers(result, accelerator, variant)
    if not layer:
        _print_layers(layer_sums(workload_rows(rows, path, model, dataset)))
        return
    found = explained(find_row(rows, path, model, dataset, layer), accelerator)
    console = output_console()
    console.print(found.title, markup=False)
    busy = Table(title="Busy cycles of each unit, as if alone")
    busy.add_column("unit", no_wrap=True)
    busy.add_column("arithmetic")
    busy.add_column("cycles", justify="right", no_wrap=True)
    for unit, formula, cycles in found.units:
        busy.add_row(unit, formula, f"{cycles:,}")
    console.print(busy)
    causes = Table(title="Where the cycles of the array went")
    causes.add_column("cause")
    causes.add_column("cycles", justify="right")
    causes.add_column("share", justify="right")
    for cause, cycles in found.causes:
        causes.add_row(cause, f"{cycles:,}", f"{100 * cycles / max(found.total_cycles, 1):.1f} %")
    causes.add_row("total", f"{found.total_cycles:,}", "")
    console.print(causes)
    console.print(f"bound: {found.bound}", markup=False)


def _print_layers(sums: list[dict[str, Any]]) -> None:
    table = Table(title="Each kind of layer, all blocks together")
    table.add_column("layer", no_wrap=True)
    for name in (
        "Mcycles",
        "share",
        "multipliers\nused",
        "DRAM (GB)",
        "energy (mJ)",
        "core",
        "buffers",
        "DRAM",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for one in sums:
        energies = (f"{one[f'{part}energy_mj']:,.4g}" for part in ("", "core_", "sram_", "dram_"))
        table.add_row(
            one["layer"],
            f"{one['cycles'] / 1e6:,.4g}",
            f"{100 * one['share']:.1f} %",
            f"{100 * one['utilisation']:.1f} %",
            f"{one['dram_bytes'] / 1e9:,.4g}",
            *energies,
        )
    output_console().print(table)
