"""Cycle timing of one GEMM on a weight-stationary array with concentration, double buffers and DRAM.

The kernel is a set of max-plus recurrences over folds: each resource keeps when it is next free.
It holds no energy, no bytes on chip and no accelerator's name.

Model (all times in array cycles, end-exclusive):

    for m-tile t, n-buffer tile b, k-slice s (a *step*), array column c (a *fold*):
        fetch   the step's inputs, their maps and weights, in order, once step j - 2 is streamed: its half is free
        load    the fold's weights once the step is fetched, the loader is free and the registers are:
                double-buffered: the previous fold streams;  single: the previous fold has drained
        stream  ceil(unique[t, s] / row_lanes) x cycles_per_pass after load, after the previous stream, once the
                concentrate half of fold i - 2 and the output half of group g - 2 are free
        drain   skew_cycles after the last row
        scatter rows[t] / scatter_rows_per_cycle, in order, from the first output on, to the last at least
    after the last slice of (t, b), a *group*:
        gather  gather_cycles_per_row x rows x columns, in order
        write   the output rows; the DRAM channel serves a fetch first where both wait

A cycle in which the array does not stream has the first cause that holds in the order: DRAM read, DRAM write,
gather, scatter, fill and drain, weight. So causes sum to the total.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from focal_simulator.jit import kernel
from focal_simulator.kernels.channel import fetch, queue_write, serve_write
from focal_simulator.kernels.state import (
    CURSOR,
    DONE,
    GATHERED,
    GATHERED_BEFORE,
    LOADED,
    READY,
    SCATTERED,
    SCATTERED_BEFORE,
    STATES,
    STEP_END,
    STREAM_START,
    TIMES,
    WRITES_WAITING,
    WRITTEN,
    WRITTEN_BEFORE,
    is_shifted,
)

__all__ = ["CAUSES", "Pipeline", "ceil_ratio", "fold", "gemm_cycles", "step_cycles"]

CAUSES = ("stream", "fill_drain", "weight", "scatter", "gather", "dram_read", "dram_write")
"""Why a cycle passed, in the order of the kernel's result. Causes of attention and of the special-function
unit are added by the engine, not by this kernel."""

_STREAM, _DRAIN, _WEIGHT, _SCATTER, _GATHER, _READ, _WRITE = range(7)


class Pipeline(NamedTuple):
    """What the kernel must know of the machine; integers only, so that Numba compiles it once.

    Attributes:
        slice_elements: Elements of a k-slice; the height h of a systolic array.
        array_columns: w.
        skew_cycles: From the last row streamed to its last output; h + w - 3 in a systolic array.
        row_lanes: Rows streamed side by side; 1 in a systolic array.
        cycles_per_pass: Cycles of one pass of ``row_lanes`` rows; 1 in a systolic array.
        columns_per_buffer: Array columns that one n-buffer tile holds.
        weight_load_cycles: Cycles to load the weights of one fold.
        is_weight_double_buffered: 1 if weights load while the previous fold streams.
        scatter_rows_per_cycle: Restored rows per cycle; 0 if the array accumulates directly.
        gather_cycles_per_row: Cycles of the gather unit per row and array column; 0 without one.
        element_bytes: Bytes of one element in DRAM.
        map_read_bytes: Bytes of similarity map fetched per row and k-slice; 0 without maps.
        map_write_bytes: Bytes of similarity map written per row and array column; 0 without maps.
        read_cycles_numerator: Read time is ceil(bytes x numerator / denominator); 0 for infinite bandwidth.
        write_cycles_numerator: Likewise for writes.
        cycles_denominator: Shared denominator.
    """

    slice_elements: int
    array_columns: int
    skew_cycles: int
    row_lanes: int
    cycles_per_pass: int
    columns_per_buffer: int
    weight_load_cycles: int
    is_weight_double_buffered: int
    scatter_rows_per_cycle: int
    gather_cycles_per_row: int
    element_bytes: int
    map_read_bytes: int
    map_write_bytes: int
    read_cycles_numerator: int
    write_cycles_numerator: int
    cycles_denominator: int


@kernel
def ceil_ratio(amount: int, numerator: int, denominator: int) -> int:
    """Return ``amount x numerator / denominator``, rounded up."""
    return (amount * numerator + denominator - 1) // denominator


@kernel
def _charge(causes: NDArray[np.int64], cursor: int, until: int, cause: int) -> int:
    if until > cursor:
        causes[cause] += until - cursor
        return until
    return cursor


@kernel
def fold(
    state: NDArray[np.int64],
    causes: NDArray[np.int64],
    machine: Pipeline,
    ready: int,
    written: int,
    streaming: int,
    rows: int,
) -> None:
    """Run one fold of ``streaming`` cycles whose data are there at ``ready`` and output half at ``written``."""
    registers = state[STREAM_START] if machine.is_weight_double_buffered else state[DONE]
    loaded = max(state[LOADED], registers, ready) + machine.weight_load_cycles
    gathered = state[GATHERED_BEFORE]
    concentrated = state[SCATTERED_BEFORE]
    start = max(loaded, state[CURSOR], concentrated, gathered, written)
    cursor = _charge(causes, state[CURSOR], ready, _READ)
    cursor = _charge(causes, cursor, written, _WRITE)
    cursor = _charge(causes, cursor, gathered, _GATHER)
    cursor = _charge(causes, cursor, concentrated, _SCATTER)
    if not machine.is_weight_double_buffered:
        cursor = _charge(causes, cursor, state[DONE], _DRAIN)
    _charge(causes, cursor, start, _WEIGHT)
    causes[_STREAM] += streaming
    done = start + streaming + machine.skew_cycles
    state[LOADED] = loaded
    state[STREAM_START] = start
    state[CURSOR] = start + streaming
    state[DONE] = done
    state[SCATTERED_BEFORE] = state[SCATTERED]
    if machine.scatter_rows_per_cycle:
        cycles = ceil_ratio(rows, 1, machine.scatter_rows_per_cycle)
        state[SCATTERED] = max(max(state[SCATTERED], start + machine.skew_cycles) + cycles, done)
    else:
        state[SCATTERED] = done


@kernel
def step_cycles(machine: Pipeline, unique: int, rows: int, width: int) -> int:
    """Return the cycles of fetching a step: its rows, their map and the weights of ``width`` outputs."""
    amount = (unique + width) * machine.slice_elements * machine.element_bytes
    return ceil_ratio(
        amount + rows * machine.map_read_bytes, machine.read_cycles_numerator, machine.cycles_denominator
    )


@kernel
def _group(
    state: NDArray[np.int64],
    causes: NDArray[np.int64],
    machine: Pipeline,
    unique: NDArray[np.int32],
    rows: int,
    output_rows: int,
    width: int,
    next_unique: int,
    next_rows: int,
    next_width: int,
) -> None:
    """Run all slices of one (m-tile, n-buffer tile), then its gather; queue its write.

    Args:
        state: See `focal_simulator.kernels.state`.
        causes: Cycles per cause, added to.
        machine: Constants.
        unique: Rows to stream per slice; none is 0.
        rows: Rows to restore per fold.
        output_rows: Rows that the group writes.
        width: Output elements of the group.
        next_unique: Rows of the first slice of the group that follows; 0 if this is the last.
        next_rows: Rows to restore of that group.
        next_width: Output elements of that group.
    """
    columns = ceil_ratio(width, 1, machine.array_columns)
    written = 0
    for place in range(unique.shape[0]):
        ready = state[READY]
        if place + 1 < unique.shape[0]:
            fetch(state, step_cycles(machine, int(unique[place + 1]), rows, width))
        elif next_unique:
            fetch(state, step_cycles(machine, next_unique, next_rows, next_width))
        if place == 0:
            # The next fetch waits for this step, so nothing can overtake the write that this group waits for.
            if state[WRITES_WAITING] == 2:
                serve_write(state)
            written = state[WRITTEN] if state[WRITES_WAITING] == 1 else state[WRITTEN_BEFORE]
        streaming = ceil_ratio(int(unique[place]), 1, machine.row_lanes) * machine.cycles_per_pass
        for _ in range(columns):
            fold(state, causes, machine, ready, written, streaming, rows)
        state[STEP_END] = state[CURSOR]
    gathered = max(state[SCATTERED], state[GATHERED])
    state[GATHERED_BEFORE] = state[GATHERED]
    state[GATHERED] = gathered + machine.gather_cycles_per_row * rows * columns
    write_cycles = ceil_ratio(
        output_rows * width * machine.element_bytes + rows * columns * machine.map_write_bytes,
        machine.write_cycles_numerator,
        machine.cycles_denominator,
    )
    queue_write(state, state[GATHERED], write_cycles)


@kernel
def _finish(state: NDArray[np.int64], causes: NDArray[np.int64]) -> None:
    """Charge the tail after the last stream: drain, scatter, gather, then the writes that wait."""
    cursor = _charge(causes, state[CURSOR], state[DONE], _DRAIN)
    cursor = _charge(causes, cursor, state[SCATTERED], _SCATTER)
    cursor = _charge(causes, cursor, state[GATHERED], _GATHER)
    while state[WRITES_WAITING]:
        serve_write(state)
    state[CURSOR] = _charge(causes, cursor, state[WRITTEN], _WRITE)


@kernel
def _tile(
    state: NDArray[np.int64],
    causes: NDArray[np.int64],
    machine: Pipeline,
    unique: NDArray[np.int32],
    rows: int,
    output_rows: int,
    outputs: int,
    next_unique: int,
    next_rows: int,
    is_shortened: bool,
) -> int:
    """Run all n-buffer tiles of one m-tile; return how many were really stepped through."""
    full = machine.columns_per_buffer * machine.array_columns
    groups = ceil_ratio(outputs, 1, full)
    # A group can repeat another only if it and the group whose data it fetches are whole and of this tile.
    last_alike = outputs // full - 2
    history = np.zeros((3, STATES), dtype=np.int64)
    history_causes = np.zeros((3, causes.shape[0]), dtype=np.int64)
    stepped = 0
    group = 0
    while group < groups:
        width = min(full, outputs - group * full)
        following = min(full, outputs - (group + 1) * full) if group + 1 < groups else min(full, outputs)
        is_last = group + 1 == groups
        first = next_unique if is_last else int(unique[0])
        following_rows = next_rows if is_last else rows
        _group(state, causes, machine, unique, rows, output_rows, width, first, following_rows, following)
        stepped += 1
        if is_shortened and group < last_alike:
            history[group % 3] = state
            history_causes[group % 3] = causes
            for period in range(1, 3):
                place = (group - period) % 3
                if stepped > period and is_shifted(state, history[place]):
                    times = (last_alike - group) // period
                    shift = (state[CURSOR] - history[place][CURSOR]) * times
                    causes += (causes - history_causes[place]) * times
                    state[:TIMES] += shift
                    group += times * period
                    break
        group += 1
    return stepped


@kernel
def gemm_cycles(
    machine: Pipeline,
    rows: NDArray[np.int32],
    unique: NDArray[np.int32],
    output_rows: NDArray[np.int32],
    outputs: int,
    is_shortened: bool,
) -> tuple[NDArray[np.int64], int]:
    """Time one GEMM of ``sum(rows)`` rows, ``slices x array_rows`` inputs and ``outputs`` outputs.

    Args:
        machine: Constants of the machine.
        rows: Live tokens, axis (m_tiles), each at least 1.
        unique: Vectors to stream, axes (m_tiles, slices); a slice of 0 costs nothing.
        output_rows: Rows written per n-buffer tile, axis (m_tiles).
        outputs: N, output elements, at least 1.
        is_shortened: Skip n-buffer tiles that provably repeat; the result is the same.

    Returns:
        Cycles per cause in the order of `CAUSES`, and the number of n-buffer tiles stepped through.

    Complexity:
        O(m_tiles x slices x outputs / array_columns) un-shortened; O(m_tiles x slices) where tiles repeat.
    """
    state = np.zeros(STATES, dtype=np.int64)
    causes = np.zeros(len(CAUSES), dtype=np.int64)
    first_width = min(machine.columns_per_buffer * machine.array_columns, outputs)
    stepped = 0
    is_first = True
    tiles = rows.shape[0]
    for tile in range(tiles):
        live = unique[tile][unique[tile] > 0]
        if live.shape[0] == 0:
            continue
        if is_first:
            fetch(state, step_cycles(machine, int(live[0]), int(rows[tile]), first_width))
            is_first = False
        next_unique, next_rows = 0, 0
        later = tile + 1
        while next_unique == 0 and later < tiles:
            for value in unique[later]:
                if value > 0:
                    next_unique, next_rows = int(value), int(rows[later])
                    break
            later += 1
        stepped += _tile(
            state,
            causes,
            machine,
            live,
            int(rows[tile]),
            int(output_rows[tile]),
            outputs,
            next_unique,
            next_rows,
            is_shortened,
        )
    _finish(state, causes)
    return causes, stepped
