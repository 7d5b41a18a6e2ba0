"""Reading yes or no out of an answer, in the two conventions in use."""

from __future__ import annotations

import re
from typing import Literal

__all__ = ["PARSERS", "Answer", "Parser", "first_word", "official_pope", "parse"]

Answer = Literal["yes", "no"]
Parser = Literal["repo", "official"]
PARSERS: tuple[Parser, ...] = ("repo", "official")

_WORD = re.compile(r"\b(yes|no)\b", re.IGNORECASE)
_NEGATIONS = ("No", "not", "no")


def first_word(text: str) -> Answer | None:
    """Return the first whole word yes or no in any case; None if there is none."""
    found = _WORD.search(text)
    if found is None:
        return None
    return "yes" if found[1].lower() == "yes" else "no"


def official_pope(text: str) -> Answer:
    """Return no if a word before the first full stop is No, not or no, else yes: every answer counts.

    Source: evaluation script published with POPE (EMNLP 2023, arXiv:2305.10355), as LLaVA uses it.
    """
    sentence = text.split(".")[0].replace(",", "")
    return "no" if any(word in _NEGATIONS for word in sentence.split(" ")) else "yes"


def parse(text: str, parser: Parser) -> Answer | None:
    """Read an answer by a named convention: ``repo`` is `first_word`, ``official`` is `official_pope`."""
    return first_word(text) if parser == "repo" else official_pope(text)
