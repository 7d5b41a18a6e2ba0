"""``focal reproduce``: the published figures, tables and numbers again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from focal_common.commit import check_writable
from focal_common.console import errors_console, output_console
from focal_common.errors import ConfigError
from focal_common.places import published_root

_PUBLISHED = published_root()
_Folder = Annotated[Path, typer.Option("--output", help="Folder for the tables and figures.")]
_Root = Annotated[Path, typer.Option("--root", help="Trace root with the published tables and claims.csv.")]


def _folder(output: Path) -> Path:
    """Return the output folder; raises `ConfigError` for the Markdown file that version 0.1 took."""
    if output.suffix == ".md":
        raise ConfigError(
            f"{output}: pages are written by hand, expected a folder for the tables and figures"
        )
    return output


def _wrote(*paths: Path, page: str) -> None:
    for path in paths:
        output_console().print(f"wrote {path}", markup=False)
    errors_console().print(f"note: what follows from them is written in {page}", markup=False)


class _ExhibitsByDefault(TyperGroup):
    """``focal reproduce fig9`` means ``focal reproduce exhibits fig9``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args:
            args = ["--help"]
        if args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["exhibits", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    add_completion=False,
    cls=_ExhibitsByDefault,
    help="The published figures, tables and numbers again. 'focal reproduce fig9 table2 --output FOLDER' makes "
    "exhibits; the commands below do the rest.",
)


@app.command()
def exhibits(
    output: Annotated[Path, typer.Option("--output", help="Folder for figures, tables and claims.")],
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="all, figures, tables, twins, fig9, fig10, fig12, or exhibits such as fig9a, table2."
        ),
    ] = None,
    source: Annotated[
        str, typer.Option("--from", help="published, a trace root, or a result folder of focal sim.")
    ] = "published",
    fidelity: Annotated[
        str,
        typer.Option(help="parity (as published; the default) or cycle; of a result folder, what it holds."),
    ] = "",
    root: _Root = _PUBLISHED,
    mixed: Annotated[
        bool, typer.Option("--mixed", help="Show rows of different versions or corrections together.")
    ] = False,
    formats: Annotated[str, typer.Option(help="Of pdf, png and svg, separated by commas.")] = "pdf,png,svg",
) -> None:
    """Make figures and tables of the paper from results: figure, data, and which published claims hold."""
    from focal_evaluation.exhibits.command import make_exhibits

    check_writable(output)
    report = make_exhibits(names or ["all"], source, fidelity, root, output, mixed, formats)
    output_console().print(report.table)
    for note in report.notes:
        errors_console().print(f"note: {note}", markup=False)
    output_console().print(f"wrote {output}", markup=False)


@app.command()
def parity(
    output: _Folder,
    root: _Root = _PUBLISHED,
    results: Annotated[Path | None, typer.Option("--results", help="Keep the result files here.")] = None,
) -> None:
    """Run every published experiment in parity mode and set each published number beside ours."""
    from focal.studies.published.parity import write_parity

    _wrote(*write_parity(root, _folder(output), results), page="docs/parity.md")


@app.command()
def corrections(
    output: _Folder,
    root: _Root = _PUBLISHED,
    steps: Annotated[
        Path | None,
        typer.Option(
            "--steps",
            help="Also write every claimed number after each correction here (CSV; a minute of CPU more).",
        ),
    ] = None,
) -> None:
    """Compute what each correction of fidelity cycle does to the headline (about a minute)."""
    from focal.studies.published.corrections import write_corrections, write_steps

    paths = write_corrections(root, _folder(output))
    if steps is not None:
        write_steps(root, steps)
        paths.append(steps)
    _wrote(*paths, page="docs/corrections.md")


@app.command("better-focus")
def better_focus(
    output: _Folder,
    points: Annotated[Path, typer.Option("--points", help="Rows of the study better_focus as CSV.")] = Path(
        "example_output/better_focus/points.csv"
    ),
) -> None:
    """Set every design of the committed study beside the published Focus; docs/better_focus.md says what follows."""
    from focal.studies.better_focus.designs import write_designs

    _wrote(write_designs(points, _folder(output)), page="docs/better_focus.md")


@app.command()
def joint(
    output: _Folder,
    study: Annotated[Path, typer.Option("--study", help="Folder of the study joint_focus.")] = Path(
        "example_output/joint_study"
    ),
    dense: Annotated[
        Path | None,
        typer.Option("--dense", help="Folder of the study joint_focus_dense; STUDY/dense if it is there."),
    ] = None,
) -> None:
    """Compare the designs of the joint study of method and hardware, with its picture."""
    from focal.studies.joint.study import write_joint

    beside = study / "dense"
    known = beside if dense is None and beside.is_dir() else dense
    _wrote(*write_joint(study, known, _folder(output)), page="docs/joint_study.md")


@app.command()
def arena(
    output: Annotated[Path, typer.Option("--output", help="Folder for arena.pdf and arena.png.")],
    table: Annotated[Path, typer.Option("--table", help="arena.csv of 'focal arena'.")] = Path(
        "docs/studies/engine_pruning/arena.csv"
    ),
) -> None:
    """Draw accuracy against tokens and energy-delay of all methods, from the table of 'focal arena'."""
    from focal.studies.arena.figure import draw_arena

    for path in draw_arena(table, output):
        output_console().print(f"wrote {path}", markup=False)


@app.command("engine-pruning")
def engine_pruning(
    output: Annotated[Path, typer.Option("--output", help="Folder for engine_pruning.md and its folder.")],
    studies: Annotated[
        list[Path] | None,
        typer.Option("--study", help="Folder of 'focal arena --study engine_pruning'; repeatable."),
    ] = None,
) -> None:
    """Write the page of the study "What engine pruning buys on an accelerator" from its tables."""
    from focal.studies.arena.engine_page import write_engine_page

    for path in write_engine_page(studies or [Path("docs/studies/engine_pruning")], output):
        output_console().print(f"wrote {path}", markup=False)


@app.command()
def calibrate(
    output: Annotated[Path, typer.Option("--output", help="Trace root to write the recipes into.")],
    root: _Root = _PUBLISHED,
) -> None:
    """Solve the calibrated stand-ins for the unpublished Focus masks again (about a minute)."""
    from focal_simulator.calibration.solve import write_all

    for path in write_all(root, output):
        output_console().print(f"wrote {path}", markup=False)
