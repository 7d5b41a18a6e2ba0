"""The DRAM channel of the pipeline kernel: one server, fetches before writes where both wait."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from focal_simulator.jit import kernel
from focal_simulator.kernels.state import (
    DRAM,
    FIRST_CYCLES,
    FIRST_DUE,
    SECOND_CYCLES,
    SECOND_DUE,
    WRITES_WAITING,
    WRITTEN,
    WRITTEN_BEFORE,
)

__all__ = ["queue_write", "serve_write"]


@kernel
def serve_write(state: NDArray[np.int64]) -> None:
    """Give the channel to the write that waits longest."""
    state[DRAM] = max(state[DRAM], state[FIRST_DUE]) + state[FIRST_CYCLES]
    state[WRITTEN_BEFORE] = state[WRITTEN]
    state[WRITTEN] = state[DRAM]
    state[WRITES_WAITING] -= 1
    # The empty second place mirrors the first, so that equal situations are equal states.
    state[FIRST_DUE] = state[SECOND_DUE]
    state[FIRST_CYCLES] = state[SECOND_CYCLES]


@kernel
def queue_write(state: NDArray[np.int64], due: int, cycles: int) -> None:
    """Queue a write that may start at ``due``; the caller keeps at most two waiting."""
    if state[WRITES_WAITING] == 0:
        state[FIRST_DUE] = due
        state[FIRST_CYCLES] = cycles
    state[SECOND_DUE] = due
    state[SECOND_CYCLES] = cycles
    state[WRITES_WAITING] += 1
