"""The DRAM channel of the pipeline kernel: one server, fetches before writes where both wait."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from focal_simulator.kernels.jit import kernel

CURSOR = 0  # end of the last stream: every cycle before it has its cause
REGISTERS = 1  # the next weights may load
DONE = 2  # last output of the last fold
SCATTERED = 3  # end of the last scatter, and of the one before
SCATTERED_BEFORE = 4
STEP_END = 5  # end of the last stream of the last step
READY = 6  # data of the next step are fetched
DRAM = 7  # the channel is free
GATHERED = 8  # end of the last gather, and of the one before
GATHERED_BEFORE = 9
WRITTEN = 10  # end of the last write served, and of the one before
WRITTEN_BEFORE = 11
FIRST_DUE = 12  # earliest start of the writes that wait; at most two do
SECOND_DUE = 13
TIMES = 14
FIRST_CYCLES = 14  # from here on lengths and numbers, not times
SECOND_CYCLES = 15
WRITES_WAITING = 16
STATES = 17


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
