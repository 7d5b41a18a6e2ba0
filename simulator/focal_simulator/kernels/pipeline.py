"""The model of one GEMM on a weight-stationary array with concentration, double buffers and DRAM, and one fold of it.

It is a set of max-plus recurrences over folds: each resource keeps when it is next free. It holds no energy, no bytes
on chip and no accelerator's name. `focal_simulator.kernels.steady` times whole GEMMs by it.

Model (all times in array cycles, end-exclusive):

    for m-tile t, n-buffer tile b, k-slice s (a *step*), array column c (a *fold*):
        fetch   the step's inputs, their maps and weights, in order, once step j - 2 is streamed: its half is free
        load    the fold's weights once the step is fetched, the loader is free and the registers are:
                serial: skew_cycles after the last row of the previous fold;  double-buffered: it streams;
                wavefront: its last row streams, one register after the other behind it
        stream  ceil(unique[t, s] / row_lanes) x cycles_per_pass, weight_lead_cycles after the load began, after the
                previous stream, once the concentrate half of fold i - 2 and the output half of group g - 2 are free
        drain   skew_cycles + output_latency_cycles after the last row
        scatter scatter_cycles(rows[t]), in order, from skew_cycles + scatter_latency_cycles after the first row
                streamed on, to so many after the last at least
    after the last slice of (t, b), a *group*:
        gather  (gather_cycles_per_row x rows + mean_cycles_per_vector x output rows) x columns, in order
        write   the output rows; the DRAM channel serves a fetch first where both wait

A cycle in which the array does not stream has the first cause that holds in the order: DRAM read, DRAM write,
gather, scatter, fill and drain, weight. So causes sum to the total.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from focal_simulator.kernels.channel import (
    CURSOR,
    DONE,
    GATHERED_BEFORE,
    REGISTERS,
    SCATTERED,
    SCATTERED_BEFORE,
)
from focal_simulator.kernels.jit import inlined_kernel, kernel

CAUSES = ("stream", "fill_drain", "weight", "scatter", "gather", "dram_read", "dram_write")
"""Why a cycle passed, in the order of the kernel's result. Causes of attention and of the special-function
unit are added by the engine, not by this kernel."""

_STREAM, _DRAIN, _WEIGHT, _SCATTER, _GATHER, _READ, _WRITE = range(7)


class Pipeline(NamedTuple):
    """What the kernel must know of the machine; integers only, so that Numba compiles it once.

    Attributes:
        slice_elements: Elements of a k-slice; the height h of a systolic array.
        array_columns: w.
        skew_cycles: From the last row streamed until no register holds it; h + w - 3 in a systolic array.
        output_latency_cycles: From there to its last output in a buffer.
        scatter_latency_cycles: From ``skew_cycles`` after a row to the cycle in which scatter can read it.
        row_lanes: Rows streamed side by side; 1 in a systolic array.
        cycles_per_pass: Cycles of one pass of ``row_lanes`` rows; 1 in a systolic array.
        columns_per_buffer: Array columns that one n-buffer tile holds.
        weight_load_cycles: Cycles to load the weights of one fold.
        key_load_cycles: Of keys or values in their place, for `for_scores` and `for_values`.
        weight_lead_cycles: From the begin of a load to the first row that may stream.
        is_weight_double_buffered: 1 if weights load while the previous fold streams.
        is_weight_wavefront: 1 if weights load behind the last row of the previous fold; not both.
        scatter_rows_per_cycle: Restored rows per cycle; 0 if the array accumulates directly.
        concentrate_reads_per_cycle: Rows that the concentrate buffer gives in a cycle; any number if 0.
        accumulate_cycles: Cycles of adding ``scatter_rows_per_cycle`` rows to the output buffer.
        gather_cycles_per_row: Cycles of the gather unit per row and array column; 0 without one.
        mean_cycles_per_vector: More of it per row written and array column, for the mean of its group.
        input_bits: Of an element that streams through the array.
        weight_bits: Of an element that waits in it.
        output_bits: Of an element that is written to DRAM.
        sum_bits: Of a partial sum in the buffers.
        score_bits: Of an attention score, for `for_scores` and `for_values`.
        map_read_bytes: Bytes of similarity map fetched per row and k-slice; 0 without maps.
        map_write_bytes: Bytes of similarity map written per row and array column; 0 without maps.
        read_cycles_numerator: Read time is ceil(bytes x numerator / denominator); 0 for infinite bandwidth.
        write_cycles_numerator: Likewise for writes.
        cycles_denominator: Shared denominator.
    """

    slice_elements: int
    array_columns: int
    skew_cycles: int
    output_latency_cycles: int
    scatter_latency_cycles: int
    row_lanes: int
    cycles_per_pass: int
    columns_per_buffer: int
    weight_load_cycles: int
    key_load_cycles: int
    weight_lead_cycles: int
    is_weight_double_buffered: int
    is_weight_wavefront: int
    scatter_rows_per_cycle: int
    concentrate_reads_per_cycle: int
    accumulate_cycles: int
    gather_cycles_per_row: int
    mean_cycles_per_vector: int
    input_bits: int
    weight_bits: int
    output_bits: int
    sum_bits: int
    score_bits: int
    map_read_bytes: int
    map_write_bytes: int
    read_cycles_numerator: int
    write_cycles_numerator: int
    cycles_denominator: int

    def for_scores(self) -> Pipeline:
        """Return the constants for queries x keys: keys wait in the array, scores leave it."""
        return self._with_keys(output_bits=self.score_bits)

    def for_values(self) -> Pipeline:
        """Return the constants for scores x values."""
        return self._with_keys(input_bits=self.score_bits)

    def _with_keys(self, **bits: int) -> Pipeline:
        """Return the constants where keys or values wait in the array, in the format of activations."""
        return self._replace(
            weight_bits=self.input_bits,
            weight_load_cycles=self.key_load_cycles,
            weight_lead_cycles=self.weight_lead_cycles + self.key_load_cycles - self.weight_load_cycles,
            **bits,
        )


@kernel
def ceil_ratio(amount: int, numerator: int, denominator: int) -> int:
    """Return ``amount x numerator / denominator``, rounded up."""
    return (amount * numerator + denominator - 1) // denominator


@inlined_kernel
def is_serial(machine: Pipeline) -> bool:
    """Return whether weights load only after the fold before has left the registers."""
    return not (machine.is_weight_double_buffered or machine.is_weight_wavefront)


@inlined_kernel
def registers_after(machine: Pipeline, loading: int, start: int, streaming: int) -> int:
    """Return when the weights of the next fold may load.

    Args:
        machine: Constants.
        loading: When the load of this fold began.
        start: When it streams.
        streaming: How long.
    """
    if machine.is_weight_double_buffered:
        return start
    if machine.is_weight_wavefront:
        return max(loading + machine.weight_load_cycles, start + streaming - 1)
    return start + streaming + machine.skew_cycles


@kernel
def scatter_cycles(machine: Pipeline, rows: int) -> int:
    """Return the cycles of restoring a fold: the slower of reading its rows and of adding them to the output."""
    adding = ceil_ratio(rows, 1, machine.scatter_rows_per_cycle) * machine.accumulate_cycles
    if machine.concentrate_reads_per_cycle == 0:
        return adding
    return max(adding, ceil_ratio(rows, 1, machine.concentrate_reads_per_cycle))


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
    loading = max(state[REGISTERS], ready)
    gathered = state[GATHERED_BEFORE]
    concentrated = state[SCATTERED_BEFORE]
    start = max(loading + machine.weight_lead_cycles, state[CURSOR], concentrated, gathered, written)
    cursor = _charge(causes, state[CURSOR], ready, _READ)
    cursor = _charge(causes, cursor, written, _WRITE)
    cursor = _charge(causes, cursor, gathered, _GATHER)
    cursor = _charge(causes, cursor, concentrated, _SCATTER)
    if is_serial(machine):
        cursor = _charge(causes, cursor, state[REGISTERS], _DRAIN)
    _charge(causes, cursor, start, _WEIGHT)
    causes[_STREAM] += streaming
    state[REGISTERS] = registers_after(machine, loading, start, streaming)
    state[CURSOR] = start + streaming
    state[DONE] = start + streaming + machine.skew_cycles + machine.output_latency_cycles
    state[SCATTERED_BEFORE] = state[SCATTERED]
    if machine.scatter_rows_per_cycle:
        first = start + machine.skew_cycles + machine.scatter_latency_cycles
        state[SCATTERED] = max(
            max(state[SCATTERED], first) + scatter_cycles(machine, rows), first + streaming
        )
    else:
        state[SCATTERED] = state[DONE]


@kernel
def step_cycles(machine: Pipeline, unique: int, rows: int, width: int) -> int:
    """Return the cycles of fetching a step: its rows, their map and the weights of ``width`` outputs."""
    bits = (unique * machine.input_bits + width * machine.weight_bits) * machine.slice_elements
    return ceil_ratio(
        (bits + 7) // 8 + rows * machine.map_read_bytes,
        machine.read_cycles_numerator,
        machine.cycles_denominator,
    )
