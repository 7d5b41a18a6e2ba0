"""Where commands print: progress and messages on stderr, results on stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

T = TypeVar("T")


_PIPED_COLUMNS = 160


def output_console() -> Console:
    """Return a console on stdout that never breaks paths, and has room for tables in a pipe or file."""
    is_terminal = sys.stdout.isatty()
    return Console(soft_wrap=not is_terminal, highlight=False, width=None if is_terminal else _PIPED_COLUMNS)


def errors_console() -> Console:
    """Return a console on stderr, for progress and messages."""
    return Console(stderr=True, soft_wrap=True, highlight=False)


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield ``items`` under a progress bar on stderr that vanishes when done; silent without a terminal."""
    columns = (
        TextColumn("[progress.description]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    console = errors_console()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield from progress.track(items, total=total, description=description)
