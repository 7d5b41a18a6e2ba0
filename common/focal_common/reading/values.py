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
        raise ValueError(f"{text!r:.80} is no whole number of at most 18 plain digits")
    return int(text)


def real_number(text: str) -> float:
    """Return a finite number written in plain digits; raises `ValueError` for ``inf``, ``nan``, ``1_0`` and others."""
    value = float(text) if _REAL.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text!r:.80} is no finite number in plain digits")
    return value


def check_tree(tree: Any, most_depth: int = MOST_DEPTH, most_values: int = MOST_VALUES) -> None:
    """Refuse a tree of lists and mappings that is too deep or too large, or holds what cannot be written again.

    A part that stands in several places, as aliases of YAML do, counts in each of them.

    Raises:
        ValueError: Naming the field and what is wrong with it, without the file.
    """
    left: list[tuple[Any, tuple[Any, ...]]] = [(tree, ())]
    seen = 0
    while left:
        value, path = left.pop()
        seen += 1
        if not isinstance(value, (dict, list)):
            if fault := _fault(value):
                raise ValueError(f"field '{_dotted(path)}' {fault}")
            continue
        if len(path) >= most_depth:
            raise ValueError(
                f"field '{_dotted(path)}' lies {most_depth} lists or mappings deep, expected fewer"
            )
        if seen + len(left) + len(value) > most_values:
            raise ValueError(
                f"more than {most_values} values, each counted wherever it stands, expected fewer"
            )
        if isinstance(value, dict):
            for name in value:
                if not isinstance(name, str) or _fault(name):
                    raise ValueError(f"field '{_dotted((*path, name))}' has a name that is no text")
            left += [(one, (*path, name)) for name, one in value.items()]
        else:
            left += [(one, (*path, place)) for place, one in enumerate(value)]


def _dotted(path: tuple[Any, ...]) -> str:
    text = ".".join(str(part).encode("ascii", "replace").decode() for part in path)
    return (text if len(text) <= 80 else text[:77] + "...").replace("\0", "?") or "(top level)"


def _fault(value: Any) -> str:
    """Return what is wrong with a value that is neither list nor mapping; empty for nothing."""
    if isinstance(value, str):
        is_writable = "\0" not in value and (value.isascii() or _is_writable(value))
        return "" if is_writable else f"is {value!r:.40}, with a zero byte or half a character"
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"is {value}, expected a finite number"
    if isinstance(value, int):
        return "" if abs(value) <= MOST_WHOLE else f"has {value.bit_length()} bits, expected at most 63"
    return "" if value is None else f"is a {type(value).__name__}, expected text, a number, true or false"


def _is_writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
