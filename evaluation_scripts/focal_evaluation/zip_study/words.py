"""Small pieces of generated text: percentages, intervals, Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

__all__ = ["interval", "listed", "percent", "points", "rows_of", "table"]


def percent(value: float, digits: int = 1) -> str:
    """Return a share as percent."""
    return f"{100 * float(value):.{digits}f} %"


def points(value: float) -> str:
    """Return a difference of shares in points, with its sign."""
    return f"{100 * float(value):+.1f}"


def interval(low: float, high: float) -> str:
    """Return an interval of differences in points."""
    return f"[{points(low)}, {points(high)}]"


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a Markdown table; the first column is text, the others stand right."""
    lines = ["| " + " | ".join(header) + " |", "|" + "|".join(["---", *["---:"] * (len(header) - 1)]) + "|"]
    lines += ["| " + " | ".join(str(cell).replace("|", "/") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def listed(words: Sequence[str], otherwise: str = "none") -> str:
    """Return words as a sentence would list them."""
    if not words:
        return otherwise
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def rows_of(frame: pd.DataFrame) -> list[Any]:
    """Return the rows with their cells as attributes; what a column holds is known to its chapter only."""
    return list(frame.itertuples())
