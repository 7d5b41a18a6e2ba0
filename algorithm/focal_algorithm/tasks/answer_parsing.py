"""From what a model said to one of the answers that a question allows, or to the finding that it is none."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["is_parsable", "parse_choice"]

_WORD = re.compile(r"[\w-]+")
_LETTER = re.compile(r"(?<![A-Za-z])([A-Z])(?![A-Za-z])")


def parse_choice(answer: str, choices: Sequence[str]) -> str | None:
    """Return the choice that the first word of an answer names, in any case; None where it names none."""
    first = _WORD.search(answer)
    word = first.group().lower() if first else ""
    return next((choice for choice in choices if choice.lower() == word), None)


def is_parsable(answer: str, form: str) -> bool:
    """Tell whether an answer has the form that a task asks for.

    Args:
        answer: As the model gave it.
        form: ``yes/no``; ``letter``, a capital letter that stands alone; or ``free``, anything but nothing.
    """
    if form == "yes/no":
        return parse_choice(answer, ("yes", "no")) is not None
    if form == "letter":
        return _LETTER.search(answer) is not None
    return bool(answer.strip())
