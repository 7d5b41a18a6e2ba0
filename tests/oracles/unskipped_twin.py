"""The middle twin of the GEMM kernel: the recurrences fold by fold, without skipping what repeats.

Fast enough for long GEMMs, where `pipeline_twin` would tick for minutes, and held to it by a test.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from focal_simulator.kernels import channel as at
from focal_simulator.kernels.channel import queue_write, serve_write
from focal_simulator.kernels.pipeline import CAUSES, Pipeline, ceil_ratio, fold, step_cycles

_DRAIN, _SCATTER, _GATHER, _WRITE = (
    CAUSES.index(name) for name in ("fill_drain", "scatter", "gather", "dram_write")
)


@njit
def _fetch(state: NDArray[np.int64], cycles: int) -> None:
    earliest = state[at.STEP_END]
    while state[at.WRITES_WAITING] and max(state[at.DRAM], state[at.FIRST_DUE]) < earliest:
        serve_write(state)
    state[at.DRAM] = max(state[at.DRAM], earliest) + cycles
    state[at.READY] = state[at.DRAM]


@njit
def _group(
    state: NDArray[np.int64],
    causes: NDArray[np.int64],
    machine: Pipeline,
    unique: NDArray[np.int64],
    rows: int,
    output_rows: int,
    width: int,
    next_fetch: int,
) -> None:
    """Run one n-buffer tile of one m-tile; ``next_fetch`` is that of the tile that follows, -1 if none does."""
    columns = ceil_ratio(width, 1, machine.array_columns)
    written = 0
    for place in range(unique.shape[0]):
        ready = state[at.READY]
        if place + 1 < unique.shape[0]:
            _fetch(state, step_cycles(machine, unique[place + 1], rows, width))
        elif next_fetch >= 0:
            _fetch(state, next_fetch)
        if place == 0:
            if state[at.WRITES_WAITING] == 2:
                serve_write(state)
            written = state[at.WRITTEN] if state[at.WRITES_WAITING] == 1 else state[at.WRITTEN_BEFORE]
        streaming = ceil_ratio(unique[place], 1, machine.row_lanes) * machine.cycles_per_pass
        for _ in range(columns):
            fold(state, causes, machine, ready, written, streaming, rows)
        state[at.STEP_END] = state[at.CURSOR]
    gathered = max(state[at.SCATTERED], state[at.GATHERED])
    state[at.GATHERED_BEFORE] = state[at.GATHERED]
    working = machine.gather_cycles_per_row * rows + machine.mean_cycles_per_vector * output_rows
    state[at.GATHERED] = gathered + working * columns
    amount = (output_rows * width * machine.output_bits + 7) // 8 + rows * columns * machine.map_write_bytes
    cycles = ceil_ratio(amount, machine.write_cycles_numerator, machine.cycles_denominator)
    queue_write(state, state[at.GATHERED], cycles)


@njit
def _finish(state: NDArray[np.int64], causes: NDArray[np.int64]) -> None:
    cursor = state[at.CURSOR]
    for until, cause in (
        (state[at.DONE], _DRAIN),
        (state[at.SCATTERED], _SCATTER),
        (state[at.GATHERED], _GATHER),
    ):
        causes[cause] += max(0, until - cursor)
        cursor = max(cursor, until)
    while state[at.WRITES_WAITING]:
        serve_write(state)
    causes[_WRITE] += max(0, state[at.WRITTEN] - cursor)


@njit
def unskipped_cycles(
    machine: Pipeline,
    rows: NDArray[np.int64],
    unique: NDArray[np.int64],
    output_rows: NDArray[np.int64],
    outputs: int,
) -> NDArray[np.int64]:
    """Return the cycles of one GEMM by cause.

    Args:
        machine: Constants.
        rows: Live rows, axis (m_tiles).
        unique: Rows streamed, axes (m_tiles, slices); a slice of 0 costs nothing.
        output_rows: Rows written per n-buffer tile, axis (m_tiles).
        outputs: N.
    """
    state, causes = np.zeros(at.STATES, dtype=np.int64), np.zeros(len(CAUSES), dtype=np.int64)
    full = machine.columns_per_buffer * machine.array_columns
    live = [tile for tile in range(rows.shape[0]) if unique[tile].max() > 0]
    for number, tile in enumerate(live):
        line = unique[tile][unique[tile] > 0]
        if number == 0:
            _fetch(state, step_cycles(machine, line[0], rows[tile], min(full, outputs)))
        for offset in range(0, outputs, full):
            following = -1
            if offset + full < outputs:
                width = min(full, outputs - offset - full)
                following = step_cycles(machine, line[0], rows[tile], width)
            elif number + 1 < len(live):
                later = live[number + 1]
                first = unique[later][unique[later] > 0][0]
                following = step_cycles(machine, first, rows[later], min(full, outputs))
            width = min(full, outputs - offset)
            _group(state, causes, machine, line, rows[tile], output_rows[tile], width, following)
    _finish(state, causes)
    return causes
