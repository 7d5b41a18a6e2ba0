"""What every command prints: progress on stderr, results on stdout, one sentence on failure."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from focal_common.errors import FocalError

__all__ = ["errors_console", "output_console", "run_command", "track"]

T = TypeVar("T")


_PIPED_COLUMNS = 160
_INTERRUPTED = 130


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
    with Progress(*columns, console=errors_console(), transient=True) as progress:
        yield from progress.track(items, total=total, description=description)


def run_command(command: Callable[..., Any], arguments: list[str] | None = None) -> int:
    """Run a Typer application and return its exit code.

    A `FocalError` becomes one sentence on stderr and its exit code (1 failed, 2 wrong use). Ctrl-C gives 130.

    Args:
        command: A ``typer.Typer`` application.
        arguments: Words after the program name; ``sys.argv[1:]`` if None.
    """
    try:
        result = command(args=arguments, standalone_mode=False)
    except FocalError as error:
        errors_console().print(f"error: {error}", markup=False)
        return error.exit_code
    except KeyboardInterrupt:
        result = _INTERRUPTED
    except BrokenPipeError:
        return 1
    except Exception as error:
        return _click_exit(error)
    if result == _INTERRUPTED:
        # Typer turns Ctrl-C into this code without a word.
        errors_console().print("interrupted; finished results are kept")
    return result if isinstance(result, int) else 0


def _click_exit(error: Exception) -> int:
    # Typer and Click raise their own classes for wrong use, --help and Exit; anything else is our defect.
    if type(error).__name__ == "NoArgsIsHelpError":  # the help is printed by then, and is all there is to say
        return int(getattr(error, "exit_code", 2))
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        errors_console().print(f"error: {error.format_message()}", markup=False)
        return int(error.exit_code)
    if type(error).__name__ == "Abort":
        errors_console().print("aborted")
        return 1
    raise error
