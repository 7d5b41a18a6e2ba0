"""How a verb is run: one sentence on failure, with the options it is about, and an exit code."""

from __future__ import annotations

import sys
from typing import Any

import typer

from focal_common.console import errors_console
from focal_common.errors import FocalError

_INTERRUPTED = 130


def run_command(command: typer.Typer, arguments: list[str] | None = None) -> int:
    """Run a Typer application and return its exit code.

    A `FocalError` becomes one sentence on stderr and its exit code (1 failed, 2 wrong use). Ctrl-C gives 130.

    Args:
        command: The application.
        arguments: Words after the program name; ``sys.argv[1:]`` if None.
    """
    words = sys.argv[1:] if arguments is None else arguments
    try:
        result = command(args=words, standalone_mode=False)
    except FocalError as error:
        errors_console().print(f"error: {error}{_options(command, words, error)}", markup=False)
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
        errors_console().print(f"error: {error.format_message()}", markup=False)
        return int(error.exit_code)
    if type(error).__name__ == "Abort":
        errors_console().print("aborted")
        return 1
    raise error
