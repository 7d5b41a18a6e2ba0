"""Words and numbers as the section on loop orders writes them."""

from __future__ import annotations

import textwrap
from typing import Any

import pandas as pd

from focal_simulator.arithmetic import sequential_sum

__all__ = ["filled", "gigabytes", "order_name", "workload_sum"]

_LINE = 120


def filled(text: str, indent: str = "") -> str:
    """Return prose in lines of at most 120 columns, later ones indented."""
    return textwrap.fill(
        text, _LINE, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )


def gigabytes(count: float) -> str:
    """Return bytes as gigabytes."""
    return f"{count / 1e9:,.1f}"


def order_name(order: str) -> str:
    """Return ``m,n,k`` for ``mnk``, as hardware files spell it."""
    return ",".join(order)


def workload_sum(row: pd.Series[Any], metric: str) -> float:
    """Return the sum over workloads of a metric of a study row."""
    own = [name for name in row.index if str(name).endswith(f":{metric}")]
    return float(sequential_sum(row[own].to_numpy(dtype=float)))
