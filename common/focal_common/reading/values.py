"""What a value from a file may be: finite numbers in range, strictly written; text that can be written again."""

from __future__ import annotations

import math
import re
from typing import Any

MOST_WHOLE = 2**63 - 1
"""Largest whole number that is read: what arrays and Parquet hold."""

MOST_DEPTH = 64
MOST_VALUES = 1_000_000

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_REAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)


def whole_number(text: str) -> int:
    """Return a whole number written in plain digits; raises `ValueError` for ``1_000``, ``１２`` and anything else."""
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r:.80} is no whole number")
    return int(text)


def real_number(text: str) -> float:
    """Return a finite number written in plain digits; raises `ValueError` for ``inf``, ``nan``, ``1_0`` and others."""
    value = float(text) if _REAL.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text!r:.80} is no finite number")
    return value


def check_tree(tree: Any, most_depth: int = MOST_DEPTH, most_values: int = MOST_VALUES) -> None:
    """Refuse a tree of lists and mappings that is too deep or too large, or holds what cannot be written again.

    A part that stands in several places, as aliases of YAML do, counts in each of them.

    Raises:
        ValueError: Saying what is wrong, without the file.
    """
    left: list[tuple[Any, int]] = [(tree, 0)]
    seen = 0
    while left:
        value, depth = left.pop()
        seen += 1
        if isinstance(value, (dict, list)):
            if depth >= most_depth:
                raise ValueError(f"lists or mappings nested more than {most_depth} deep")
            inside = [*value.keys(), *value.values()] if isinstance(value, dict) else value
            if seen + len(left) + len(inside) > most_values:
                raise ValueError(f"more than {most_values} values, aliases expanded")
            left += [(one, depth + 1) for one in inside]
        else:
            _check_scalar(value)


def _check_scalar(value: Any) -> None:
    if isinstance(value, str):
        if "\0" in value or not (value.isascii() or _is_writable(value)):
            raise ValueError(f"text with a zero byte or half a character, {value!r:.40}")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"the number {value}; expected a finite one")
    elif isinstance(value, int):
        if abs(value) > MOST_WHOLE:
            raise ValueError("a whole number of more than 64 bits")
    elif value is not None:
        raise ValueError(f"a value of type {type(value).__name__}; expected text, numbers, true or false")


def _is_writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
