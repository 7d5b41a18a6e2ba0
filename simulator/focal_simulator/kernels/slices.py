"""One n-buffer tile, slice by slice, beside a record of the tile before: where both agree, the rest is added at once.

The recurrences of `focal_simulator.kernels.pipeline` in local variables. The folds of a slice are alike, so soon one
takes as long as the one before, and the rest is added. Two tiles of equal width differ at their
start only: another write waits, the first data come late. As soon as every time of one, after some slice, is that
of the other plus one constant, the slices that follow repeat, up to the last one, whose fetch is the next tile's.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from focal_simulator.kernels.channel import (
    CURSOR,
    DONE,
    DRAM,
    FIRST_CYCLES,
    FIRST_DUE,
    GATHERED_BEFORE,
    READY,
    REGISTERS,
    SCATTERED,
    SCATTERED_BEFORE,
    SECOND_CYCLES,
    SECOND_DUE,
    STEP_END,
    WRITES_WAITING,
    WRITTEN,
    WRITTEN_BEFORE,
    serve_write,
)
from focal_simulator.kernels.jit import inlined_kernel, kernel
from focal_simulator.kernels.pipeline import Pipeline, is_serial, registers_after

NOTHING_FOLLOWS = -1
"""Cycles of a fetch that is not there."""

DIRECT = -1
"""Cycles of a scatter where the array accumulates directly."""

RECORDED = 16
"""Numbers kept after each slice: `Clock`, then the channel."""

_SHORT = 8
"""Slices up to which stepping costs less than keeping a record."""

_READY, _DRAM, _WRITTEN, _WRITTEN_BEFORE, _WAITING = 7, 8, 9, 10, 11
_FIRST_DUE, _SECOND_DUE, _FIRST_CYCLES, _SECOND_CYCLES = 12, 13, 14, 15
_DRAIN, _SCATTER, _GATHER, _READ, _WRITE = 1, 3, 4, 5, 6


class Clock(NamedTuple):
    """When what the folds share is next free, and cycles charged so far.

    Attributes:
        cursor: End of the last stream.
        registers: Weights may load.
        scattered: End of the last scatter.
        scattered_before: End of the scatter before it.
        drained: Cycles charged to fill and drain.
        stalled: Cycles charged to scatter.
        starved: Cycles charged to DRAM reads.
    """

    cursor: int
    registers: int
    scattered: int
    scattered_before: int
    drained: int
    stalled: int
    starved: int


class Work(NamedTuple):
    """One m-tile at one width of the n-buffer tile.

    Attributes:
        slices: Live slices.
        columns: Folds a slice.
        scatter_cycles: Of a fold; `DIRECT` without scatter.
        last_fetch: Cycles of what is fetched during the last slice; `NOTHING_FOLLOWS` if nothing is.
        is_kept: Whether a tile of this width follows, so that a record pays.
    """

    slices: int
    columns: int
    scatter_cycles: int
    last_fetch: int
    is_kept: bool


@inlined_kernel
def _fold(clock: Clock, machine: Pipeline, streaming: int, scatter_cycles: int) -> Clock:
    """Run a fold whose data and output half are there: weights, drain and scatter can hold it back."""
    cursor, drained, stalled = clock.cursor, clock.drained, clock.stalled
    start = max(clock.registers + machine.weight_lead_cycles, cursor, clock.scattered_before)
    if clock.scattered_before > cursor:
        stalled += clock.scattered_before - cursor
        cursor = clock.scattered_before
    if is_serial(machine) and clock.registers > cursor:
        drained += clock.registers - cursor
    if scatter_cycles >= 0:
        first = start + machine.skew_cycles + machine.scatter_latency_cycles
        scattered = max(max(clock.scattered, first) + scatter_cycles, first + streaming)
    else:
        scattered = start + streaming + machine.skew_cycles + machine.output_latency_cycles
    registers = registers_after(machine, clock.registers, start, streaming)
    return Clock(start + streaming, registers, scattered, clock.scattered, drained, stalled, clock.starved)


@inlined_kernel
def _folds(clock: Clock, machine: Pipeline, work: Work, streaming: int) -> Clock:
    """Run the folds of a slice, which are equal: once one repeats the fold before, the rest is added at once."""
    left = work.columns
    while left > 0:
        then = clock
        clock = _fold(clock, machine, streaming, work.scatter_cycles)
        left -= 1
        each = clock.cursor - then.cursor
        if (
            clock.registers - then.registers == each
            and clock.scattered - then.scattered == each
            and clock.scattered_before - then.scattered_before == each
        ):
            later = each * left
            clock = Clock(
                clock.cursor + later,
                clock.registers + later,
                clock.scattered + later,
                clock.scattered_before + later,
                clock.drained + (clock.drained - then.drained) * left,
                clock.stalled + (clock.stalled - then.stalled) * left,
                clock.starved,
            )
            left = 0
    return clock


@inlined_kernel
def _awaited(clock: Clock, ready: int) -> Clock:
    """Wait for the data of a slice."""
    starved = clock.starved + max(0, ready - clock.cursor)
    return Clock(
        max(clock.cursor, ready),
        max(clock.registers, ready),
        clock.scattered,
        clock.scattered_before,
        clock.drained,
        clock.stalled,
        starved,
    )


@kernel
def _opened(state: NDArray[np.int64], causes: NDArray[np.int64], clock: Clock) -> Clock:
    """Wait for the output half of a group, after its data."""
    # The next fetch waits for this slice, so nothing can overtake the write that this group waits for.
    if state[WRITES_WAITING] == 2:
        serve_write(state)
    written = state[WRITTEN] if state[WRITES_WAITING] == 1 else state[WRITTEN_BEFORE]
    cursor = clock.cursor
    for until, cause in ((written, _WRITE), (state[GATHERED_BEFORE], _GATHER)):
        if until > cursor:
            causes[cause] += until - cursor
            cursor = until
    return Clock(
        cursor,
        clock.registers,
        clock.scattered,
        clock.scattered_before,
        clock.drained,
        clock.stalled,
        clock.starved,
    )


@inlined_kernel
def _keep(records: NDArray[np.int64], held: int, place: int, clock: Clock, state: NDArray[np.int64]) -> None:
    records[held, place, 0] = clock.cursor
    records[held, place, 1] = clock.registers
    records[held, place, 2] = clock.scattered
    records[held, place, 3] = clock.scattered_before
    records[held, place, 4] = clock.drained
    records[held, place, 5] = clock.stalled
    records[held, place, 6] = clock.starved
    records[held, place, _READY] = state[READY]
    records[held, place, _DRAM] = state[DRAM]
    records[held, place, _WRITTEN] = state[WRITTEN]
    records[held, place, _WRITTEN_BEFORE] = state[WRITTEN_BEFORE]
    records[held, place, _WAITING] = state[WRITES_WAITING]
    records[held, place, _FIRST_DUE] = state[FIRST_DUE]
    records[held, place, _SECOND_DUE] = state[SECOND_DUE]
    records[held, place, _FIRST_CYCLES] = state[FIRST_CYCLES]
    records[held, place, _SECOND_CYCLES] = state[SECOND_CYCLES]


@inlined_kernel
def _agrees(
    records: NDArray[np.int64], held: int, place: int, clock: Clock, state: NDArray[np.int64]
) -> bool:
    """Return whether the slices that follow those of the record follow here, one constant later."""
    shift = clock.cursor - records[held, place, 0]
    if (
        clock.registers - records[held, place, 1] != shift
        or clock.scattered - records[held, place, 2] != shift
        or clock.scattered_before - records[held, place, 3] != shift
        or state[READY] - records[held, place, _READY] != shift
        or state[DRAM] - records[held, place, _DRAM] != shift
        or state[WRITES_WAITING] != records[held, place, _WAITING]
    ):
        return False
    if state[WRITES_WAITING] == 0:
        return True
    return bool(
        state[FIRST_DUE] - records[held, place, _FIRST_DUE] == shift
        and state[SECOND_DUE] - records[held, place, _SECOND_DUE] == shift
        and state[FIRST_CYCLES] == records[held, place, _FIRST_CYCLES]
        and state[SECOND_CYCLES] == records[held, place, _SECOND_CYCLES]
    )


@kernel
def _skipped(
    records: NDArray[np.int64], held: int, place: int, last: int, clock: Clock, state: NDArray[np.int64]
) -> Clock:
    """Go from slice ``place`` to slice ``last`` at once."""
    here, there = records[held, place], records[held, last]
    shift = clock.cursor - here[0]
    served = here[_WAITING] - there[_WAITING]
    if served == 1:
        state[WRITTEN_BEFORE] = state[WRITTEN]
    elif served == 2:
        state[WRITTEN_BEFORE] = there[_WRITTEN_BEFORE] + shift
    if served:
        state[WRITTEN] = there[_WRITTEN] + shift
        state[FIRST_DUE] = there[_FIRST_DUE] + shift
        state[SECOND_DUE] = there[_SECOND_DUE] + shift
        state[FIRST_CYCLES] = there[_FIRST_CYCLES]
        state[SECOND_CYCLES] = there[_SECOND_CYCLES]
        state[WRITES_WAITING] = there[_WAITING]
    state[READY] = there[_READY] + shift
    state[DRAM] = there[_DRAM] + shift
    return Clock(
        there[0] + shift,
        there[1] + shift,
        there[2] + shift,
        there[3] + shift,
        clock.drained + there[4] - here[4],
        clock.stalled + there[5] - here[5],
        clock.starved + there[6] - here[6],
    )


@kernel
def run_slices(
    state: NDArray[np.int64],
    causes: NDArray[np.int64],
    machine: Pipeline,
    work: Work,
    streaming: NDArray[np.int64],
    fetches: NDArray[np.int64],
    records: NDArray[np.int64],
    held: int,
    is_recorded: bool,
) -> bool:
    """Run the slices of one n-buffer tile.

    Args:
        state: See `focal_simulator.kernels.channel`.
        causes: Cycles per cause, added to; stream and weight are left to the caller.
        machine: Constants.
        work: The m-tile at this width.
        streaming: Cycles of a fold, axis (live slices).
        fetches: Cycles of fetching each slice, axis (live slices).
        records: Two records of tiles of this m-tile and width, axes (2, slices, `RECORDED`).
        held: Which of them is the tile before; the other is written.
        is_recorded: Whether it holds anything.

    Returns:
        Whether the rest of it was used; if not, the other is the whole record of this tile.
    """
    clock = Clock(state[CURSOR], state[REGISTERS], state[SCATTERED], state[SCATTERED_BEFORE], 0, 0, 0)
    last = work.slices - 1
    place, is_skipped = 0, False
    while place <= last:
        ready = state[READY]
        cycles = work.last_fetch if place == last else fetches[place + 1]
        if cycles != NOTHING_FOLLOWS:
            while state[WRITES_WAITING] and max(state[DRAM], state[FIRST_DUE]) < state[STEP_END]:
                serve_write(state)
            state[DRAM] = max(state[DRAM], state[STEP_END]) + cycles
            state[READY] = state[DRAM]
        clock = _awaited(clock, ready)
        if place == 0:
            clock = _opened(state, causes, clock)
        clock = _folds(clock, machine, work, streaming[place])
        if place < last and last >= _SHORT:
            if is_recorded and not is_skipped and _agrees(records, held, place, clock, state):
                clock = _skipped(records, held, place, last - 1, clock, state)
                place, is_skipped = last - 1, True
            elif work.is_kept and not is_skipped:
                _keep(records, 1 - held, place, clock, state)
        state[STEP_END] = clock.cursor
        place += 1
    state[CURSOR], state[REGISTERS] = clock.cursor, clock.registers
    state[DONE] = clock.cursor + machine.skew_cycles + machine.output_latency_cycles
    state[SCATTERED], state[SCATTERED_BEFORE] = clock.scattered, clock.scattered_before
    causes[_DRAIN] += clock.drained
    causes[_SCATTER] += clock.stalled
    causes[_READ] += clock.starved
    return is_skipped
