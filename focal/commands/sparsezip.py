"""``focal sparsezip``: the SparseZip study, and methods on shapes-pope and shapes-mme with one result schema."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from focal.commands.sparsezip_published import app as published_app
from focal_common.commit import check_writable
from focal_common.console import errors_console, output_console, track
from focal_common.reading.values import whole_number

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Token selection before and inside the decoder at equal budgets: VisionZip, SparseZip, SparseVLM.",
)

app.add_typer(published_app, name="published")

report_app = typer.Typer(
    help="Summary and pictures from the tables of focal sparsezip.", add_completion=False
)

Model = Annotated[
    Path | None, typer.Option("--model", help="Folder of a trained image model; the shipped one if left out.")
]
Output = Annotated[Path, typer.Option("--output", help="Folder of the results.")]
Work = Annotated[
    Path | None,
    typer.Option(
        "--work", help="Folder that keeps finished pieces for the next run; OUTPUT/.work if left out."
    ),
]
PopePictures = Annotated[int, typer.Option(help="Pictures of shapes-pope, six questions per variant each.")]
MmePictures = Annotated[int, typer.Option(help="Pictures of shapes-mme, two questions each.")]
Pictures = Annotated[
    int, typer.Option(help="Pictures: six questions per variant of shapes-pope each, two of shapes-mme.")
]
Methods = Annotated[
    list[str],
    typer.Option("--method", help="Method, or METHOD:field=value,field=value; may be given several times."),
]
Only = Annotated[str, typer.Option(help="Variants or sub-tasks, separated by commas; all if empty.")]
Seed = Annotated[int, typer.Option(help="Of the data.")]
Parser = Annotated[
    str, typer.Option(help="How an answer is read: repo (first word yes or no) or official (POPE's own).")
]


@app.command()
def study(
    output: Output,
    model: Model = None,
    parts: Annotated[
        str, typer.Option(help="Of curve, two_by_two, audit, adaptive, sweep, policy, latency; or all.")
    ] = "all",
    pope_pictures: PopePictures = 60,
    mme_pictures: MmePictures = 240,
    budgets: Annotated[str, typer.Option(help="Visual tokens of the budget curve, separated by commas.")] = (
        "21,32,64,87,128"
    ),
    square_budgets: Annotated[str, typer.Option(help="Visual tokens of the 2 x 2 design.")] = "21,32,64",
    seed: Seed = 0,
    work: Work = None,
) -> None:
    """Run the whole study: tables and pictures. Resumable."""
    from focal.studies.sparsezip.design import PARTS, StudySettings
    from focal.studies.sparsezip.model import open_model
    from focal.studies.sparsezip.study import run_study

    chosen = PARTS if parts == "all" else tuple(_words(parts))
    settings = StudySettings(
        pope_pictures=pope_pictures,
        mme_pictures=mme_pictures,
        seed=seed,
        budgets=_numbers(budgets, "--budgets"),
        square_budgets=_numbers(square_budgets, "--square-budgets"),
        parts=chosen,
    )
    check_writable(output)
    cells = run_study(open_model(model), settings, output, work or output / ".work", _track)
    _finish(output, "repo", [cell for cell in cells if cell.status == "failed"])


@app.command()
def evalkit(
    output: Output,
    method: Methods,
    benchmark: Annotated[str, typer.Option(help="shapes-pope or shapes-mme.")] = "shapes-pope",
    only: Only = "",
    model: Model = None,
    pictures: Pictures = 120,
    seed: Seed = 0,
    parser: Parser = "repo",
    work: Work = None,
) -> None:
    """Answer one benchmark with one method or several; one schema, and a summary that cannot be half empty."""
    _evaluate(output, benchmark, method, only, model, pictures, seed, parser, work)


def _add_run_all(name: str, benchmark: str, count: int, words: str) -> None:
    """Add a command that is `evalkit` on one benchmark."""

    def command(
        output: Output, method: Methods, only: Only = "", model: Model = None, pictures: Pictures = count,
        seed: Seed = 0, parser: Parser = "repo", work: Work = None,
    ) -> None:  # fmt: skip
        _evaluate(output, benchmark, method, only, model, pictures, seed, parser, work)

    app.command(name, help=words)(command)


_add_run_all(
    "mme_run_all",
    "shapes-mme",
    300,
    "Answer every sub-task of shapes-mme; accuracy, accuracy+ and score in both conventions.",
)
_add_run_all(
    "pope_run_all",
    "shapes-pope",
    80,
    "Answer every variant of shapes-pope; accuracy, precision, recall, F1, yes-ratio and unparsed answers.",
)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="Result folder with one of the runs.")],
    second: Annotated[Path, typer.Argument(help="Result folder with the other run; may be the same folder.")],
    names: Annotated[
        list[str], typer.Option("--name", help="A configuration; give it twice, first and second.")
    ],
    allow_unequal: Annotated[
        bool, typer.Option("--allow-unequal", help="Compare different numbers of visual tokens.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Compare two configurations question by question: McNemar, paired bootstrap, and a verdict."""
    from focal.studies.sparsezip.comparing import compare_folders, show

    rows = compare_folders(first, second, names, allow_unequal)
    output_console().print(show(rows, as_json), markup=False)


@report_app.command()
@app.command()
def report(
    folder: Annotated[
        Path, typer.Argument(help="Result folder of study, evalkit, mme_run_all or pope_run_all.")
    ],
    parser: Parser = "repo",
) -> None:
    """Write summary and pictures again from the tables of a run."""
    _finish(folder, parser, [])


def _evaluate(
    output: Path, benchmark: str, methods: list[str], only: str, model: Path | None, pictures: int, seed: int,
    parser: str, work: Path | None,
) -> None:  # fmt: skip
    from focal.studies.sparsezip.evalkit import request_of, run_methods
    from focal.studies.sparsezip.model import open_model

    request = request_of(benchmark, methods, _words(only), pictures, seed)
    check_writable(output)
    cells = run_methods(open_model(model), request, output, work or output / ".work", _track)
    _finish(output, parser, [cell for cell in cells if cell.status == "failed"])


def _finish(output: Path, parser: str, failed: list[Any]) -> None:
    """Write summary and pictures, and name what failed; exit code 1 if anything did."""
    from focal.studies.sparsezip.summary import write_report

    try:
        written, count = write_report(output, parser)
        for path in written:
            output_console().print(f"wrote {path}", markup=False)
        if count:
            errors_console().print(
                f"partial: {count} configurations failed; summary_final.csv has a row with the reason of each",
                markup=False,
            )
    finally:
        for cell in failed:
            errors_console().print(f"failed: {cell.configuration.name}: {cell.reason}", markup=False)
    if count or failed:
        raise typer.Exit(1)


def _track(items: Iterable[Any], description: str, total: int | None = None) -> Iterable[Any]:
    return track(items, description, total)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _numbers(text: str, option: str) -> tuple[int, ...]:
    from focal_common.errors import ConfigError

    try:
        return tuple(whole_number(word) for word in _words(text))
    except ValueError as error:
        raise ConfigError(f"{option} '{text}': expected whole numbers such as 21,64") from error
