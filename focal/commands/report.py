"""The verb ``focal report``: arguments only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from focal_common.commit import check_writable
from focal_common.console import errors_console, output_console
from focal_common.errors import ConfigError
from focal_common.places import published_root

_PUBLISHED = published_root()
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Result folders of focal sim.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="HTML file to write.")] = Path("report.html"),
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Also write the static figures as PDF beside it.")
    ] = False,
    fidelity: Annotated[str, typer.Option(help="Only rows of this fidelity: parity or cycle.")] = "",
    mixed: Annotated[
        bool, typer.Option("--mixed", help="Show different fidelities, corrections or versions side by side.")
    ] = False,
    overlay: Annotated[
        list[Path] | None,
        typer.Option(
            help="Page or picture of focal show to link to; repeatable. Those in a run folder are found."
        ),
    ] = None,
    root: Annotated[
        Path, typer.Option("--root", help="Trace root with claims.csv, for published claims.")
    ] = _PUBLISHED,
) -> None:
    """Put result folders into one HTML page that opens without network."""
    if output.suffix not in (".html", ".htm"):
        raise ConfigError(
            f"--output {output}: expected a name that ends in .html; --pdf writes the figures beside it"
        )
    check_writable(output.parent)
    from focal_evaluation.report.html import write_report
    from focal_evaluation.report.runs import read_runs

    found = read_runs(runs, fidelity, mixed, overlay or ())
    write_report(found, root, output)
    output_console().print(f"wrote {output}", markup=False)
    if pdf:
        from focal_evaluation.report.pdf import write_pdf

        write_pdf(found, output.with_suffix(".pdf"))
        output_console().print(f"wrote {output.with_suffix('.pdf')}", markup=False)
    for gap in found.gaps:
        errors_console().print(f"note: partial: {gap}", markup=False)
