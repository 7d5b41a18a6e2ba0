"""The model of `focal_simulator.kernels.pipeline`, many GEMMs in one call and each in few steps.

What is skipped: n-buffer tiles that repeat, slices that repeat the tile before, folds that repeat the fold before
(`focal_simulator.kernels.slices`), and divisions (once a slice, not once a tile). The result is that of stepping
through all of it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from focal_simulator.kernels.channel import (
    CURSOR,
    DONE,
    DRAM,
    GATHERED,
    GATHERED_BEFORE,
    READY,
    SCATTERED,
    STATES,
    TIMES,
    WRITES_WAITING,
    WRITTEN,
    queue_write,
    serve_write,
)
from focal_simulator.kernels.jit import inlined_kernel, kernel
from focal_simulator.kernels.pipeline import CAUSES, Pipeline, ceil_ratio, scatter_cycles
from focal_simulator.kernels.slices import DIRECT, NOTHING_FOLLOWS, RECORDED, Work, run_slices

_STREAM, _DRAIN, _WEIGHT, _SCATTER, _GATHER, _READ, _WRITE = range(7)


class PackedGemms(NamedTuple):
    """GEMMs one after the other in flat arrays.

    Attributes:
        first: First entry of each GEMM, and the end of the last; axis (GEMMs + 1).
        is_independent: 1 where every entry of a GEMM starts on an empty machine; axis (GEMMs).
        rows: Live rows, axis (entries).
        output_rows: Rows written per n-buffer tile, axis (entries).
        outputs: N, axis (entries).
        copies: How often an entry is computed, axis (entries); 1 unless entries are independent.
        unique: Rows streamed of the slices that are not empty, entry after entry.
        offsets: Where the slices of each entry start, and the end of the last; axis (entries + 1).
    """

    first: NDArray[np.int64]
    is_independent: NDArray[np.int64]
    rows: NDArray[np.int64]
    output_rows: NDArray[np.int64]
    outputs: NDArray[np.int64]
    copies: NDArray[np.int64]
    unique: NDArray[np.int64]
    offsets: NDArray[np.int64]


@inlined_kernel
def _shift_of(denominator: int) -> int:
    """Return the logarithm of a power of two, else -1: shifts are many times faster than divisions."""
    shift = 0
    while (1 << shift) < denominator:
        shift += 1
    return shift if (1 << shift) == denominator else -1


@inlined_kernel
def _transfer(amount: int, numerator: int, machine: Pipeline, shift: int) -> int:
    """Return ``ceil_ratio`` for the channel."""
    if shift >= 0:
        return (amount * numerator + machine.cycles_denominator - 1) >> shift
    return ceil_ratio(amount, numerator, machine.cycles_denominator)


@inlined_kernel
def _step(machine: Pipeline, unique: int, rows: int, width: int, shift: int) -> int:
    """Return the cycles of fetching a slice, as `focal_simulator.kernels.pipeline.step_cycles`."""
    bits = (unique * machine.input_bits + width * machine.weight_bits) * machine.slice_elements
    return _transfer(
        ((bits + 7) >> 3) + rows * machine.map_read_bytes, machine.read_cycles_numerator, machine, shift
    )


@inlined_kernel
def _width(machine: Pipeline, outputs: int, group: int) -> int:
    full = machine.columns_per_buffer * machine.array_columns
    return min(full, outputs - group * full)


@inlined_kernel
def _close(
    state: NDArray[np.int64],
    machine: Pipeline,
    rows: int,
    output_rows: int,
    width: int,
    columns: int,
    shift: int,
) -> None:
    """Gather a group and queue its write."""
    gathered = max(state[SCATTERED], state[GATHERED])
    state[GATHERED_BEFORE] = state[GATHERED]
    working = machine.gather_cycles_per_row * rows + machine.mean_cycles_per_vector * output_rows
    state[GATHERED] = gathered + working * columns
    amount = ((output_rows * width * machine.output_bits + 7) >> 3) + rows * columns * machine.map_write_bytes
    queue_write(state, state[GATHERED], _transfer(amount, machine.write_cycles_numerator, machine, shift))


@inlined_kernel
def _repeats(
    state: NDArray[np.int64],
    causes: NDArray[np.int64],
    history: NDArray[np.int64],
    before: NDArray[np.int64],
    group: int,
    stepped: int,
    last_alike: int,
) -> int:
    """Return how many groups were added at once because the state repeats one of the two before."""
    now = group % 3
    # Loops, because Numba makes temporary arrays of array expressions.
    for place in range(STATES):
        history[now, place] = state[place]
    for place in range(causes.shape[0]):
        before[now, place] = causes[place]
    # Nothing a group waits for lies further back than two groups: the halves of a double buffer alternate, and at most
    # two writes wait. So what settles at all repeats after one group, or after two where the halves differ. A longer
    # period would be stepped through: slower, never wrong, because a jump is taken only where the whole state repeats.
    for period in range(1, 3):
        then = (group - period) % 3
        if stepped > period and _is_shifted(state, history, then):
            times = (last_alike - group) // period
            shift = (state[CURSOR] - history[then, CURSOR]) * times
            for place in range(causes.shape[0]):
                causes[place] += (causes[place] - before[then, place]) * times
            for place in range(TIMES):
                state[place] += shift
            return times * period
    return 0


@inlined_kernel
def _is_shifted(now: NDArray[np.int64], history: NDArray[np.int64], then: int) -> bool:
    """Return whether every time is that of an earlier state plus one constant, and every number is the same."""
    shift = now[CURSOR] - history[then, CURSOR]
    for place in range(STATES):  # noqa: SIM110
        if now[place] != history[then, place] + (shift if place < TIMES else 0):
            return False
    return True


@kernel
def _tile(
    state: NDArray[np.int64],
    causes: NDArray[np.int64],
    machine: Pipeline,
    unique: NDArray[np.int64],
    begin: int,
    slices: int,
    rows: int,
    output_rows: int,
    outputs: int,
    next_unique: int,
    next_rows: int,
    streaming: NDArray[np.int64],
    fetches: NDArray[np.int64],
    records: NDArray[np.int64],
    history: NDArray[np.int64],
    before: NDArray[np.int64],
    shift: int,
) -> None:
    """Run all n-buffer tiles of one m-tile, whose live slices lie in ``unique`` from ``begin`` on."""
    full = machine.columns_per_buffer * machine.array_columns
    groups = ceil_ratio(outputs, 1, full)
    last_alike = outputs // full - 2
    streamed = 0
    for place in range(slices):
        rows_here = unique[begin + place]
        passes = rows_here if machine.row_lanes == 1 else ceil_ratio(rows_here, 1, machine.row_lanes)
        streaming[place] = passes * machine.cycles_per_pass
        streamed += streaming[place]
    scatter = DIRECT
    if machine.scatter_rows_per_cycle:
        scatter = scatter_cycles(machine, rows)
    held, is_recorded, width = 0, False, 0
    group = stepped = 0
    while group < groups:
        wide = _width(machine, outputs, group)
        if wide != width:
            for place in range(slices):
                fetches[place] = _step(machine, unique[begin + place], rows, wide, shift)
            is_recorded, width = False, wide
        following, wide = NOTHING_FOLLOWS, 0
        if group + 1 < groups:
            wide = _width(machine, outputs, group + 1)
            following = fetches[0] if wide == width else _step(machine, unique[begin], rows, wide, shift)
        elif next_unique:
            following = _step(machine, next_unique, next_rows, _width(machine, outputs, 0), shift)
        columns = machine.columns_per_buffer if width == full else ceil_ratio(width, 1, machine.array_columns)
        work = Work(slices, columns, scatter, following, wide == width)
        if not run_slices(state, causes, machine, work, streaming, fetches, records, held, is_recorded):
            held, is_recorded = 1 - held, True
        _close(state, machine, rows, output_rows, width, columns, shift)
        causes[_STREAM] += streamed * columns
        stepped += 1
        if group < last_alike:
            group += _repeats(state, causes, history, before, group, stepped, last_alike)
        group += 1


@kernel
def _finish(state: NDArray[np.int64], causes: NDArray[np.int64]) -> None:
    """Charge the tail after the last stream, and to weights what no other cause took."""
    cursor = state[CURSOR]
    charged = 0
    for place in range(causes.shape[0]):
        charged += causes[place]
    causes[_WEIGHT] += cursor - charged
    for until, cause in ((state[DONE], _DRAIN), (state[SCATTERED], _SCATTER), (state[GATHERED], _GATHER)):
        if until > cursor:
            causes[cause] += until - cursor
            cursor = until
    while state[WRITES_WAITING]:
        serve_write(state)
    if state[WRITTEN] > cursor:
        causes[_WRITE] += state[WRITTEN] - cursor


@kernel
def packed_cycles(machine: Pipeline, gemms: PackedGemms) -> NDArray[np.int64]:
    """Return the cycles of every GEMM, axes (GEMMs, `CAUSES`), int64.

    Args:
        machine: Constants, the same for all.
        gemms: What to time.

    Complexity:
        About O(live slices) per m-tile and width where the tiles of an m-tile soon repeat.
    """
    offsets, shift = gemms.offsets, _shift_of(machine.cycles_denominator)
    longest = 1
    for entry in range(gemms.rows.shape[0]):
        longest = max(longest, offsets[entry + 1] - offsets[entry])
    streaming, fetches = np.empty(longest, dtype=np.int64), np.empty(longest, dtype=np.int64)
    records = np.empty((2, longest, RECORDED), dtype=np.int64)
    history = np.zeros((3, STATES), dtype=np.int64)
    before = np.zeros((3, len(CAUSES)), dtype=np.int64)
    found = np.zeros((gemms.is_independent.shape[0], len(CAUSES)), dtype=np.int64)
    state = np.zeros(STATES, dtype=np.int64)
    causes = np.zeros(len(CAUSES), dtype=np.int64)
    for gemm in range(found.shape[0]):
        start, stop = gemms.first[gemm], gemms.first[gemm + 1]
        is_fresh = True
        for entry in range(start, stop):
            slices = offsets[entry + 1] - offsets[entry]
            if slices == 0:
                continue
            rows, outputs = gemms.rows[entry], gemms.outputs[entry]
            if is_fresh:
                for place in range(STATES):
                    state[place] = 0
                for place in range(causes.shape[0]):
                    causes[place] = 0
                wide = _width(machine, outputs, 0)
                state[DRAM] = _step(machine, gemms.unique[offsets[entry]], rows, wide, shift)
                state[READY] = state[DRAM]
            later = stop if gemms.is_independent[gemm] else entry + 1
            while later < stop and offsets[later] == offsets[later + 1]:
                later += 1
            next_unique, next_rows = 0, 0
            if later < stop:
                next_unique, next_rows = gemms.unique[offsets[later]], gemms.rows[later]
            _tile(
                state,
                causes,
                machine,
                gemms.unique,
                offsets[entry],
                slices,
                rows,
                gemms.output_rows[entry],
                outputs,
                next_unique,
                next_rows,
                streaming,
                fetches,
                records,
                history,
                before,
                shift,
            )
            is_fresh = later >= stop
            if is_fresh:
                _finish(state, causes)
                for place in range(causes.shape[0]):
                    found[gemm, place] += causes[place] * gemms.copies[entry]
    return found
