"""Many small GEMMs in one call: the tiles of causal attention, each with its own number of outputs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from focal_simulator.jit import kernel
from focal_simulator.kernels.pipeline import CAUSES, Pipeline, gemm_cycles

__all__ = ["independent_cycles"]


@kernel
def independent_cycles(
    machine: Pipeline,
    rows: NDArray[np.int32],
    unique: NDArray[np.int32],
    output_rows: NDArray[np.int32],
    outputs: NDArray[np.int64],
    slices: NDArray[np.int64],
    is_shortened: bool,
) -> tuple[NDArray[np.int64], int]:
    """Time GEMMs of one m-tile each, one after the other; each starts on an empty machine.

    Args:
        machine: Constants of the machine.
        rows: Live tokens, axis (jobs).
        unique: Vectors to stream, axes (jobs, most slices).
        output_rows: Rows written per n-buffer tile, axis (jobs).
        outputs: N of each job, at least 1.
        slices: k-slices of each job; later entries of ``unique`` are not read.
        is_shortened: As in `gemm_cycles`.

    Returns:
        Sums over the jobs of both results of `gemm_cycles`.
    """
    causes = np.zeros(len(CAUSES), dtype=np.int64)
    stepped = 0
    for job in range(rows.shape[0]):
        part, steps = gemm_cycles(
            machine,
            rows[job : job + 1],
            unique[job : job + 1, : slices[job]],
            output_rows[job : job + 1],
            int(outputs[job]),
            is_shortened,
        )
        causes += part
        stepped += steps
    return causes, stepped
