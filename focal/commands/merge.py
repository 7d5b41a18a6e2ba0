"""``focal merge``: shards that worked in separate folders become one run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from focal.commands.running import run_command
from focal.commands.spread import without_spread
from focal_common.commit import check_writable
from focal_common.console import output_console
from focal_common.errors import ConfigError
from focal_common.spreading.joining import join_journals

app = typer.Typer(add_completion=False)

_OUTPUTS = ("--output", "--output_path")


@app.command()
def merge(
    folders: Annotated[list[Path], typer.Argument(help="Output folders of the shards.")],
    output: Annotated[Path, typer.Option(help="Folder of the whole run; may be one of them.")],
) -> None:
    """Put the finished samples of shards together and write the results that one process would have written.

    Shards that overlap, lack, or come from other settings, weights or versions are told in one sentence before anything
    is copied. Traces and measurements need no weights for this; an evaluation loads its model.
    """
    from focal.commands.main import VERBS

    check_writable(output)
    command = join_journals(folders, output)
    if len(command) < 2 or command[0] != "focal" or command[1] not in VERBS:
        raise ConfigError(
            f"{folders[0]}: does not say which command its samples come from; run that command again in {output}"
        )
    words = [
        *_with_output(without_spread(command[2:]), output),
        *(["--resume"] if command[1] == "matrix" else []),
    ]
    output_console().print(f"focal {command[1]} {' '.join(words)}", markup=False)
    code = run_command(VERBS.load(command[1]), words)
    if code:
        raise typer.Exit(code)


def _with_output(words: list[str], output: Path) -> list[str]:
    kept, left = [], iter(words)
    option = _OUTPUTS[0]
    for word in left:
        name, equals, _ = word.partition("=")
        if name in _OUTPUTS:
            option = name
            if not equals:
                next(left, None)
        elif word != "--resume":
            kept.append(word)
    return [*kept, option, str(output)]
