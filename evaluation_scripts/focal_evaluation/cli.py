"""``focal reproduce``: the published numbers again, from a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from focal_common.console import output_console

__all__ = ["app"]

app = typer.Typer(add_completion=False, help="The published numbers again, from a run.")

_PUBLISHED = Path("example_output/published")
_Root = Annotated[Path, typer.Option("--root", help="Trace root with the published tables and claims.csv.")]


@app.command()
def parity(
    output: Annotated[Path, typer.Option("--output", help="Markdown file to write.")],
    root: _Root = _PUBLISHED,
    results: Annotated[Path | None, typer.Option("--results", help="Keep the result files here.")] = None,
) -> None:
    """Run every published experiment in parity mode and set each published number beside ours."""
    from focal_evaluation.parity_page import write_page

    write_page(root, output, results)
    output_console().print(f"wrote {output}", markup=False)


@app.command()
def corrections(
    output: Annotated[Path, typer.Option("--output", help="Markdown file to write.")],
    root: _Root = _PUBLISHED,
) -> None:
    """Show what each correction of fidelity cycle does to the headline (about a minute)."""
    from focal_evaluation.corrections_page import write_page

    write_page(root, output)
    output_console().print(f"wrote {output}", markup=False)


@app.command("better-focus")
def better_focus(
    output: Annotated[Path, typer.Option("--output", help="Markdown file to write.")],
    points: Annotated[Path, typer.Option("--points", help="Rows of the study better_focus as CSV.")] = Path(
        "example_output/better_focus/points.csv"
    ),
) -> None:
    """Say what the committed study found: is there a better Focus at no more area?"""
    from focal_evaluation.better_focus_page import write_page

    write_page(points, output)
    output_console().print(f"wrote {output}", markup=False)


@app.command()
def calibrate(
    output: Annotated[Path, typer.Option("--output", help="Trace root to write the recipes into.")],
    root: _Root = _PUBLISHED,
) -> None:
    """Solve the calibrated stand-ins for the unpublished Focus masks again (about a minute)."""
    from focal_simulator.calibration.solve import write_all

    for path in write_all(root, output):
        output_console().print(f"wrote {path}", markup=False)
