"""The verb ``focal sweep``: arguments only."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import focal.studies.measure  # noqa: F401  (registers the trace providers that run a model)
from focal.commands.running import run_command
from focal_common.console import errors_console, output_console, track
from focal_common.errors import ConfigError

if TYPE_CHECKING:
    from focal_simulator.sweep.run import SweepResult

_SLOW = 10

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def sweep(
    study: Annotated[str, typer.Argument(help="Study file (YAML), or the name of a packaged study.")],
    trace: Annotated[
        Path | None, typer.Option(help="Trace root, in place of traces.root of the study.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Study folder; focal_sweeps/<name> if absent.")] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Processes on this machine.")] = 1,
    dask: Annotated[bool, typer.Option("--dask", help="Use a local Dask cluster of -j workers.")] = False,
    scheduler: Annotated[
        str, typer.Option(help="Address of a Dask scheduler, such as tcp://host:8786.")
    ] = "",
    fork: Annotated[
        bool,
        typer.Option(
            "--fork", help="If the study was changed: start anew beside it, keep rows that still hold."
        ),
    ] = False,
    allow_command: Annotated[
        bool,
        typer.Option(
            "--allow-command", help="Let the study run the program that it names (provider command)."
        ),
    ] = False,
    figures: Annotated[bool, typer.Option(help="Draw the figures.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Explore a design space: every finished point is kept, and a stopped study goes on where it was."""
    if jobs < 1:
        raise ConfigError(f"--jobs {jobs}: expected at least 1")
    from focal_evaluation.exhibits.sweep import draw_all
    from focal_simulator.sweep.run import SweepRequest, run_sweep
    from focal_simulator.sweep.study import read_study
    from focal_simulator.sweep.summary import front_table, report, write_files

    read, base = read_study(study)
    request = SweepRequest(read, base, trace, output or Path("focal_sweeps") / read.name, fork, allow_command)
    if jobs > 1 or dask or scheduler:
        # A wrong study is refused before workers are started for it.
        from focal_simulator.sweep.run import prepare

        prepare(request)
    result = run_sweep(
        request, _engine(jobs, dask, scheduler), lambda chunks, total: _tracked(chunks, total, read.name)
    )
    paths = write_files(result, draw_all if figures else None)
    if as_json:
        typer.echo(json.dumps(report(result) | {"paths": [str(path) for path in paths]}, indent=1))
        return
    _show(result, paths, front_table(result))


def _engine(jobs: int, dask: bool, scheduler: str) -> Any:
    if dask or scheduler:
        from focal_common.spreading.dask import DaskEngine

        return DaskEngine(jobs, scheduler or None)
    from focal_common.spreading.engines import ProcessEngine, SerialEngine

    return ProcessEngine(jobs) if jobs > 1 else SerialEngine()


def _tracked(chunks: Iterable[Any], total: int, name: str) -> Iterable[Any]:
    return track(chunks, name, total)


def _show(result: SweepResult, paths: list[Path], table: Any) -> None:
    console = output_console()
    console.print(table)
    counts = ", ".join(f"{count} {status}" for status, count in sorted(result.counts.items()))
    console.print(
        f"{len(result.rows)} points of {result.plan.space.size} in the grid: {counts}", markup=False
    )
    sources = "".join(f"; {name}: {result.plan.source(name)}" for name in result.given_metrics)
    console.print(
        f"simulated, fidelity {result.plan.study.fidelity}; counts: {'; '.join(result.origins)}{sources}",
        markup=False,
    )
    rate = f", {_rate(result.evaluated / result.seconds)} points/s" if result.evaluated else ""
    kept = len(result.rows) - result.evaluated - result.taken_over
    taken = f"{result.taken_over} taken over from the earlier study, " if result.taken_over else ""
    console.print(
        f"evaluated {result.evaluated} in {result.seconds:.1f} s{rate}; {taken}{kept} were finished before",
        markup=False,
    )
    versions = sorted({str(row["code_version"]) for row in result.rows})
    if len(versions) > 1:
        errors_console().print(
            f"note: rows come from {len(versions)} versions of the code ({', '.join(versions)}); where they count "
            "differently, start anew with another --output",
            markup=False,
        )
    failures = [row["reason"] for row in result.rows if row["status"] == "failed"]
    if failures:
        errors_console().print(f"note: {len(failures)} points failed; the first: {failures[0]}", markup=False)
    remarks = [row["remarks"] for row in result.rows if row["remarks"]]
    if remarks:
        errors_console().print(
            f"note: {len(remarks)} points carry remarks; the first: {remarks[0]}", markup=False
        )
    for path in paths:
        console.print(f"wrote {path}", markup=False)


def _rate(per_second: float) -> str:
    """Return a rate with at least two digits; a slow study does not run at 0 points a second."""
    return f"{per_second:,.0f}" if per_second >= _SLOW else f"{per_second:.2g}"


def main() -> int:
    """Run with the words of the command line; return the exit code."""
    return run_command(app)
