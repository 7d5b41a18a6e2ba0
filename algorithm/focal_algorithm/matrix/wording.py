"""Sentences of single runs in the words of a matrix, where options have other names."""

from __future__ import annotations

__all__ = ["in_words_of_a_matrix"]

_ONLINE = "a matrix with 'hub: true', without --offline"
_WORDS = {
    # `focal matrix --profile` names a matrix, so advice of `focal eval` and `focal trace` would be refused here.
    "'--profile hub'": _ONLINE,
    "--profile hub": _ONLINE,
    "with --profile offline": "in a matrix that is offline",
}


def in_words_of_a_matrix(sentence: str) -> str:
    """Return a sentence with advice that `focal matrix` takes."""
    for old, new in _WORDS.items():
        sentence = sentence.replace(old, new)
    return sentence
