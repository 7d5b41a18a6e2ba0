"""Sums over the tiles of a GEMM, from which bytes and explanations are made."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from focal_simulator.kernels.jit import kernel
from focal_simulator.kernels.steady import PackedGemms

SUMS = (
    "folds",
    "streamed_rows",
    "scattered_rows",
    "fetched_rows",
    "weight_outputs",
    "mapped_rows",
    "gathered_rows",
    "written_elements",
    "restored_elements",
    "gathered_vectors",
)
"""Order of the result; ``fetched_rows`` and ``weight_outputs`` are to be multiplied by the elements of a slice."""


@kernel
def packed_sums(gemms: PackedGemms, array_columns: int, columns_per_buffer: int) -> NDArray[np.int64]:
    """Return the sums of many GEMMs, axes (`SUMS`, GEMMs), int64.

    Args:
        gemms: What to count.
        array_columns: w.
        columns_per_buffer: Array columns of an n-buffer tile.
    """
    sums = np.zeros((10, gemms.is_independent.shape[0]), dtype=np.int64)
    for gemm in range(sums.shape[1]):
        for entry in range(gemms.first[gemm], gemms.first[gemm + 1]):
            live = gemms.offsets[entry + 1] - gemms.offsets[entry]
            if live == 0:
                continue
            streamed = 0
            for place in range(gemms.offsets[entry], gemms.offsets[entry + 1]):
                streamed += gemms.unique[place]
            wide, here, copies = gemms.outputs[entry], gemms.rows[entry], gemms.copies[entry]
            columns = (wide + array_columns - 1) // array_columns
            groups = (columns + columns_per_buffer - 1) // columns_per_buffer
            sums[0, gemm] += copies * live * columns
            sums[1, gemm] += copies * streamed * columns
            sums[2, gemm] += copies * here * live * columns
            sums[3, gemm] += copies * streamed * groups
            sums[4, gemm] += copies * live * wide
            sums[5, gemm] += copies * here * live * groups
            sums[6, gemm] += copies * here * columns
            sums[7, gemm] += copies * gemms.output_rows[entry] * wide
            sums[8, gemm] += copies * here * wide
            sums[9, gemm] += copies * gemms.output_rows[entry] * columns
    return sums
