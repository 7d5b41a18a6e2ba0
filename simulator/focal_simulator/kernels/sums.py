"""Sums over the tiles of a GEMM, from which bytes and explanations are made."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from focal_simulator.jit import kernel
from focal_simulator.kernels.steady import PackedGemms

__all__ = ["SUMS", "packed_sums", "tile_sums"]

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
)
"""Order of the result; ``fetched_rows`` and ``weight_outputs`` are to be multiplied by the elements of a slice."""


@kernel
def tile_sums(
    rows: NDArray[np.int32],
    unique: NDArray[np.int32],
    output_rows: NDArray[np.int32],
    outputs: NDArray[np.int64],
    slices: NDArray[np.int64],
    array_columns: int,
    columns_per_buffer: int,
) -> NDArray[np.int64]:
    """Return the sums named in `SUMS` for one copy.

    Args:
        rows: Live rows, axis (entries).
        unique: Rows streamed, axes (entries, most slices).
        output_rows: Rows written per n-buffer tile, axis (entries).
        outputs: N of each entry, or of all.
        slices: k-slices of each entry, or of all.
        array_columns: w.
        columns_per_buffer: Array columns of an n-buffer tile.
    """
    sums = np.zeros(9, dtype=np.int64)
    for entry in range(rows.shape[0]):
        wide = outputs[entry if outputs.shape[0] > 1 else 0]
        deep = slices[entry if slices.shape[0] > 1 else 0]
        live, streamed = 0, 0
        for place in range(deep):
            value = unique[entry, place]
            streamed += value
            live += value > 0
        if live == 0:
            continue
        columns = (wide + array_columns - 1) // array_columns
        groups = (columns + columns_per_buffer - 1) // columns_per_buffer
        here = np.int64(rows[entry])
        sums[0] += live * columns
        sums[1] += streamed * columns
        sums[2] += here * live * columns
        sums[3] += streamed * groups
        sums[4] += live * wide
        sums[5] += here * live * groups
        sums[6] += here * columns
        sums[7] += np.int64(output_rows[entry]) * wide
        sums[8] += here * wide
    return sums


@kernel
def packed_sums(gemms: PackedGemms, array_columns: int, columns_per_buffer: int) -> NDArray[np.int64]:
    """Return the sums of many GEMMs, axes (`SUMS`, GEMMs), int64; see `tile_sums`."""
    sums = np.zeros((9, gemms.is_independent.shape[0]), dtype=np.int64)
    for gemm in range(sums.shape[1]):
        for entry in range(gemms.first[gemm], gemms.first[gemm + 1]):
            live = gemms.offsets[entry + 1] - gemms.offsets[entry]
            if live == 0:
                continue
            streamed = 0
            for place in range(gemms.offsets[entry], gemms.offsets[entry + 1]):
                streamed += gemms.unique[place]
            wide, here = gemms.outputs[entry], gemms.rows[entry]
            columns = (wide + array_columns - 1) // array_columns
            groups = (columns + columns_per_buffer - 1) // columns_per_buffer
            sums[0, gemm] += live * columns
            sums[1, gemm] += streamed * columns
            sums[2, gemm] += here * live * columns
            sums[3, gemm] += streamed * groups
            sums[4, gemm] += live * wide
            sums[5, gemm] += here * live * groups
            sums[6, gemm] += here * columns
            sums[7, gemm] += gemms.output_rows[entry] * wide
            sums[8, gemm] += here * wide
    return sums
