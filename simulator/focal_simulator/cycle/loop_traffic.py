"""Jobs of the cycle engine as the closed form of `focal_simulator.loop_orders` takes them."""

from __future__ import annotations

import numpy as np

from focal_common.errors import UnsupportedError
from focal_simulator.arithmetic import ceil_div
from focal_simulator.cycle.jobs import GemmJob
from focal_simulator.loop_orders import TiledGemm

__all__ = ["tiled_gemm"]


def tiled_gemm(job: GemmJob) -> TiledGemm:
    """Return the tiles of one copy of a job; the similarity map of an input tile travels with it.

    Partial sums are restored rows of the array's output columns in operand precision, as the output buffer holds
    them.

    Raises:
        UnsupportedError: A causal job, whose m-tiles meet different keys and so are GEMMs of their own.
    """
    if job.tile_outputs is not None:
        raise UnsupportedError(f"{job.layer} {job.part}: causal tiles have no common loop order")
    machine = job.machine
    rows, unique = job.rows.astype(np.int64), job.unique.astype(np.int64)
    n_tile = machine.array_columns * machine.columns_per_buffer
    starts = np.arange(ceil_div(job.outputs, n_tile), dtype=np.int64) * n_tile
    widths = np.minimum(n_tile, job.outputs - starts)
    element, depth = machine.element_bytes, machine.slice_elements
    maps = rows[:, None] * machine.map_read_bytes * (unique > 0)
    return TiledGemm(
        input_bytes=unique * depth * element + maps,
        weight_bytes=np.repeat(widths[None, :] * depth * element, unique.shape[1], axis=0),
        partial_bytes=rows[:, None] * widths[None, :] * element,
    )
