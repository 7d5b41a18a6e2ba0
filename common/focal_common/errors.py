"""The exception classes of the project: one message a person can act on, and an exit code.

A `FocalError` is shown to the user as one sentence without a traceback. It names the file, the field
and the expected value. Anything else that escapes is a defect of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FocalError(Exception):
    """Base of every error that is the user's to mend.

    Args:
        *arguments: The sentence.
        about: Settings that it is about, by name; a command adds its options of these names.
    """

    exit_code = 2

    def __init__(self, *arguments: object, about: Iterable[str] = ()) -> None:
        super().__init__(*arguments)
        self.about = tuple(about)


class ConfigError(FocalError, ValueError):
    """A setting, a name or a command-line value is wrong. Exit code 2."""


class TraceError(FocalError, ValueError):
    """A trace or an input table is missing, damaged or contradicts itself. Exit code 2."""


class UnsupportedError(FocalError):
    """A combination (method, model, accelerator, machine) that cannot work, with the reason. Exit code 2."""


class RunError(FocalError, RuntimeError):
    """A correct request failed while it ran: full disk, NaN activations, lost worker. Exit code 1."""

    exit_code = 1


def near_matches(name: object, choices: Iterable[str]) -> str:
    """Return the end of an error sentence: the nearest names and all valid choices.

    Args:
        name: What the user wrote, be it no text.
        choices: Every valid name.

    Returns:
        Text such as ``did you mean 'focus'? Valid: adaptiv, cmc, dense, focus``.
    """
    valid = sorted(choices)
    near = difflib.get_close_matches(str(name), valid, n=3, cutoff=0.5)
    meant = f"did you mean {' or '.join(repr(word) for word in near)}? " if near else ""
    return f"{meant}Valid: {', '.join(valid) if valid else '(none)'}"
