"""Exact integer arithmetic of the parity formulas, for scalars and arrays alike."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from functools import reduce
from typing import Any

import numpy as np


def ceil_div(dividend: Any, divisor: Any) -> Any:
    """Return the ceiling of ``dividend / divisor`` for integers or integer arrays, negatives included."""
    return -(-dividend // divisor)


def bytes_of(elements: Any, bits: int) -> Any:
    """Return the bytes of elements of ``bits`` bits, packed, rounded up; for integers or integer arrays."""
    return (elements * bits + 7) // 8


def fold_cycles(rows: Any, array_rows: int, array_columns: int) -> Any:
    """Return the cycles of one weight-stationary fold on a systolic array.

    Model: ``array_rows`` cycles to load the weights, ``rows`` to stream the input, the rest is the skew of
    filling and draining. Equal to SCALE-Sim v2 in weight-stationary mode with bandwidth "calculate".

    Args:
        rows: Input rows M streamed through the fold; scalar or array.
        array_rows: Array height, the K direction.
        array_columns: Array width, the N direction.
    """
    return rows + 2 * array_rows + array_columns - 3


def sequential_sum(values: np.ndarray[Any, Any]) -> int | float:
    """Sum in row order, exactly for integers and left to right for reals.

    NumPy sums pairwise; the published results were summed one by one, and some of them are truncated
    afterwards, so the order decides the last printed digit.
    """
    total: int | float = reduce(operator.add, values.ravel().tolist(), 0)
    return total


def exact_sum(values: Iterable[int | float]) -> int | float:
    """Sum integers to an integer, and reals rounded once.

    Not ``sum``: of reals it rounds after each addition up to Python 3.11 and is compensated from 3.12 on, so the last
    digit of a result would depend on the interpreter.
    """
    found = list(values)
    return math.fsum(found) if any(isinstance(value, float) for value in found) else sum(found)
