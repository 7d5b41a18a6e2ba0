"""How a verb is run: one sentence on failure, with the options it is about, and an exit code."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import typer

from focal_common.console import errors_console, output_console
from focal_common.errors import ConfigError, FocalError
from focal_common.reading.values import real_number, whole_number

_INTERRUPTED, _TERMINATED = 130, 143
_LONGEST = 2000


def run_command(command: typer.Typer, arguments: list[str] | None = None) -> int:
    """Run a Typer application and return its exit code.

    A `FocalError` becomes one sentence on stderr and its exit code (1 failed, 2 wrong use), and so do a standard stream
    that is full and what else the system refuses (1). Ctrl-C gives 130, SIGTERM 143; a reader of a pipe that has left
    ends the command without a word (1).

    Args:
        command: The application.
        arguments: Words after the program name; ``sys.argv[1:]`` if None.
    """
    words = sys.argv[1:] if arguments is None else arguments
    _open_streams()
    with _ends() as signals:
        code = _code(command, words)
    if code == _INTERRUPTED:
        # Typer turns Ctrl-C into this code without a word.
        _say("interrupted; finished results are kept")
        code = _TERMINATED if signals else code
    try:
        sys.stdout.flush()
    except OSError as error:
        code = _refused(error)
    return code


def said(text: str, code: int, is_error: bool = False) -> int:
    """Print a text on its own and return ``code``, or 1 where it cannot be printed."""
    _open_streams()
    if is_error:
        _say(text)
        return code
    try:
        output_console().print(text, markup=False)
        sys.stdout.flush()
    except OSError as error:
        return _refused(error)
    return code


def _code(command: typer.Typer, words: list[str]) -> int:
    try:
        application = typer.main.get_command(command)
        _prepare(application)
        result = application(args=words, standalone_mode=False)
    except FocalError as error:
        _say(f"error: {error}{_options(command, words, error)}")
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except OSError as error:
        return _refused(error)
    except MemoryError:
        _say("error: not enough memory")
        return 1
    except Exception as error:
        return _click_exit(error)
    return result if isinstance(result, int) else 0


def _prepare(command: Any) -> None:
    """Let numeric options of a command and its verbs take plain digits only, and let ``-o`` be short for ``--output``.

    ``int`` also reads ``1_0`` and ``２``.
    """
    for one in command.params:
        one.process_value = partial(_processed, one.process_value, max(one.opts, key=len))
        if "--output" in one.opts and "-o" not in one.opts:
            one.opts.append("-o")
    for verb in getattr(command, "commands", {}).values():
        _prepare(verb)


def _processed(process: Callable[[Any, Any], Any], name: str, context: Any, given: Any) -> Any:
    found = process(context, given)
    pairs = zip(given, found, strict=False) if isinstance(found, list) else ((given, found),)
    for text, number in pairs:
        try:
            if isinstance(text, str) and type(number) is int:
                whole_number(text)
            elif isinstance(text, str) and type(number) is float:
                real_number(text)
        except ValueError as error:
            raise ConfigError(f"{name}: {error}") from error
    return found


def _say(sentence: str) -> None:
    """Print a sentence on stderr; what a file put into it moves no cursor."""
    text = "".join(one if one.isprintable() or one == "\n" else repr(one)[1:-1] for one in sentence)
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}..."
    with contextlib.suppress(OSError):  # full or closed: there is nowhere left to say it
        errors_console().print(text, markup=False)


def _open_streams() -> None:
    """Give closed standard streams a place to write to, and spell out what the encoding of the others lacks."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, io.TextIOWrapper(io.FileIO(os.devnull, "w"), "utf-8"))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _refused(error: OSError) -> int:
    """Say what the system refused; a pipe whose reader has left needs no word."""
    if error.filename is None:
        # What is left in the buffer would be refused again when Python ends.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if not isinstance(error, BrokenPipeError):
        place = "standard output" if error.filename is None else os.fsdecode(error.filename)
        _say(f"error: {place}: {error.strerror or error}")
    return 1


@contextlib.contextmanager
def _ends() -> Iterator[list[int]]:
    """Let SIGTERM end a command as Ctrl-C does; yields a list that holds the signal once it came."""
    came: list[int] = []
    is_ours = threading.current_thread() is threading.main_thread() and (
        signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    )
    process = os.getpid()

    def end(number: int, frame: Any) -> None:
        if os.getpid() != process:  # a worker that was forked from us: as if nothing were set
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
            return
        came.append(number)
        raise KeyboardInterrupt

    if is_ours:
        signal.signal(signal.SIGTERM, end)
    try:
        yield came
    finally:
        if is_ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _options(command: typer.Typer, words: list[str], error: FocalError) -> str:
    """Return the options of the verb that an error is about, such as `` (--fidelity)``.

    A library names a setting; a verb has the option whose parameter is called so, or none.
    """
    if not error.about:
        return ""
    node: Any = typer.main.get_command(command)
    left, options = iter(words), {}
    while node is not None:
        for one in node.params:
            # Of a pair such as --resume and --no-resume, the one that changes something.
            spelt = one.secondary_opts if one.secondary_opts and one.default else one.opts
            if spelt[0].startswith("-"):
                options[one.name] = max(spelt, key=len)
        verbs = getattr(node, "commands", {})
        node = next((verbs[word] for word in left if word in verbs), None)
    found = [options[name] for name in error.about if name in options]
    return f" ({', '.join(found)})" if found else ""


def _click_exit(error: Exception) -> int:
    # Typer and Click raise their own classes for wrong use, --help and Exit; anything else is our defect.
    if type(error).__name__ == "NoArgsIsHelpError":  # the help is printed by then, and is all there is to say
        return int(getattr(error, "exit_code", 2))
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        _say(f"error: {error.format_message()}")
        return int(error.exit_code)
    if type(error).__name__ == "Abort":
        _say("aborted")
        return 1
    raise error
