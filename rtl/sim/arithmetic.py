"""What the arithmetic of the RTL must give, in numpy, bit for bit.

Rounding: FP16 products are exact in FP32. Every FP32 sum and product is rounded to nearest, ties to even, one
operation at a time, in the
order that the hardware has. FP32 becomes FP16 to nearest even. INT8 products are exact; sums are 32-bit and wrap.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]


def products(x: Array, y: Array, *, is_float: bool) -> Array:
    """Return elementwise products of FP16 (exact, FP32) or INT8 (exact, int64) operands."""
    wide = np.float32 if is_float else np.int64
    return x.astype(wide) * y.astype(wide)


def wrapped(values: Array) -> Array:
    """Return integers as 32-bit two's complement."""
    return values.astype(np.int64).astype(np.uint32).astype(np.int32)


def array_sums(vectors: Array, weights: Array, *, is_float: bool) -> Array:
    """Return what the array gives: sums down the columns, from row 0 on.

    Args:
        vectors: (rows, h) FP16 or INT8.
        weights: (columns, h, w), one matrix an array column of the GEMM.
        is_float: Whether they are FP16.

    Returns:
        (rows, columns, w) FP32 or int32.
    """
    wide = np.float32 if is_float else np.int64
    total = np.zeros((len(vectors), weights.shape[0], weights.shape[2]), dtype=wide)
    for place in range(vectors.shape[1]):
        total = total + products(vectors[:, place, None, None], weights[None, :, place, :], is_float=is_float)
    return total if is_float else wrapped(total)


def tree_sum(values: Array) -> Array:
    """Return sums over the last axis, a power of two long, by a balanced tree of neighbours."""
    while values.shape[-1] > 1:
        values = values[..., 0::2] + values[..., 1::2]
    return values[..., 0]


def requantised(sums: Array, shift: int, *, is_float: bool) -> Array:
    """Return sums as elements of the next input: FP16 to nearest even; INT8 shifted down, saturated to +-127."""
    if is_float:
        with np.errstate(over="ignore"):
            return sums.astype(np.float16)
    return np.clip(sums >> shift, -127, 127).astype(np.int8)


def group_means(vectors: Array, index: NDArray[np.int64], groups: int, *, is_float: bool) -> Array:
    """Return the mean of every group: the sum in order of rows, divided.

    FP16: FP32 sums, an FP32 quotient, then FP16, each to nearest even. INT8: to nearest, halves up.

    Args:
        vectors: (rows, elements).
        index: (rows,) compact index.
        groups: How many.
        is_float: Whether the elements are FP16.
    """
    wide = vectors.astype(np.float32 if is_float else np.int64)
    first = np.zeros(groups, dtype=np.int64)
    first[index[::-1]] = np.arange(len(index))[::-1]
    sums = wide[first]  # not 0 + the first: that would lose the sign of a zero
    others = np.setdiff1d(np.arange(len(index)), first)
    np.add.at(sums, index[others], wide[others])
    counts = np.bincount(index, minlength=groups)[:, None]
    if is_float:
        return (sums / counts.astype(np.float32)).astype(np.float16)
    return ((2 * sums + counts) // (2 * counts)).astype(np.int8)
