"""What each unit did when, for one GEMM and a window of cycles: the recurrences of the kernel, one fold at a time.

The steps of the model in `focal_simulator.kernels.pipeline`, called from Python so that the state can be looked at
between them. A test holds them and the kernel to the same total.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from focal_simulator.jobs.jobs import GemmJob
from focal_simulator.kernels import channel as at
from focal_simulator.kernels.channel import queue_write, serve_write
from focal_simulator.kernels.pipeline import CAUSES, ceil_ratio, fold, step_cycles
from focal_simulator.workload.arithmetic import bytes_of

UNITS = ("DRAM read", "DRAM write", "weight load", "array", "drain", "scatter", "gather")
"""Tracks, from memory to array to output."""


class UnitEvent(NamedTuple):
    """One busy interval of a unit, end-exclusive, in cycles from the start of the GEMM."""

    unit: str
    start_cycles: int
    stop_cycles: int
    label: str
    amount_bytes: int = 0  # over the DRAM channel


@dataclass(frozen=True)
class _Group:
    tile: int
    offset: int
    width: int
    live: np.ndarray[tuple[int], np.dtype[np.int32]]


class _Recorder:
    """Runs one GEMM and collects busy intervals.

    Args:
        job: What to run.
        entry: Which tile of causal attention, each a GEMM of its own; None for all m-tiles.
    """

    def __init__(self, job: GemmJob, entry: int | None) -> None:
        self.job, self.machine = job, job.machine
        self.state = np.zeros(at.STATES, dtype=np.int64)
        self.causes = np.zeros(len(CAUSES), dtype=np.int64)
        self.drained = 0
        self.waiting_bytes: list[int] = []  # of the writes that wait
        self.groups = list(self._groups(entry))

    def _groups(self, entry: int | None) -> Iterator[_Group]:
        job, machine = self.job, self.machine
        tiles = range(len(job.rows)) if entry is None else [entry]
        for tile in tiles:
            outputs = job.outputs if job.tile_outputs is None else int(job.tile_outputs[tile])
            slices = job.unique.shape[1] if job.tile_slices is None else int(job.tile_slices[tile])
            line = job.unique[tile, :slices]
            live = line[line > 0]
            full = machine.columns_per_buffer * machine.array_columns
            for offset in range(0, outputs if len(live) else 0, full):
                yield _Group(tile, offset, min(full, outputs - offset), live)

    def _write(self) -> UnitEvent:
        cycles = int(self.state[at.FIRST_CYCLES])
        serve_write(self.state)
        stop = int(self.state[at.DRAM])
        return UnitEvent("DRAM write", stop - cycles, stop, "output tile", self.waiting_bytes.pop(0))

    def _fetch(self, group: _Group, place: int) -> Iterator[UnitEvent]:
        """Fetch a slice once the step before the last is streamed; a write goes first only if it can start before."""
        rows, unique = int(self.job.rows[group.tile]), int(group.live[place])
        cycles = int(step_cycles(self.machine, unique, rows, group.width))
        state, machine = self.state, self.machine
        bits = (unique * machine.input_bits + group.width * machine.weight_bits) * machine.slice_elements
        amount = bytes_of(bits, 1)
        amount += rows * machine.map_read_bytes
        earliest = state[at.STEP_END]
        while state[at.WRITES_WAITING] and max(state[at.DRAM], state[at.FIRST_DUE]) < earliest:
            yield self._write()
        state[at.DRAM] = max(state[at.DRAM], earliest) + cycles
        state[at.READY] = state[at.DRAM]
        stop = int(state[at.DRAM])
        yield UnitEvent("DRAM read", stop - cycles, stop, f"slice {place} of tile {group.tile}", amount)

    def _fold(self, streaming: int, rows: int, ready: int, written: int, label: str) -> Iterator[UnitEvent]:
        state, machine = self.state, self.machine
        before, loading = int(state[at.SCATTERED]), max(int(state[at.REGISTERS]), ready)
        fold(state, self.causes, machine, ready, written, streaming, rows)
        start = int(state[at.CURSOR]) - streaming
        if machine.weight_load_cycles:
            yield UnitEvent("weight load", loading, loading + machine.weight_load_cycles, label)
        yield UnitEvent("array", start, start + streaming, label)
        # Drains of short folds overlap; the track shows when the last output has left.
        leaving = max(self.drained, start + streaming)
        self.drained = int(state[at.DONE])
        yield UnitEvent("drain", leaving, self.drained, label)
        if machine.scatter_rows_per_cycle:
            first = max(before, start + machine.skew_cycles + machine.scatter_latency_cycles)
            yield UnitEvent("scatter", first, int(state[at.SCATTERED]), label)

    def _group(self, place: int) -> Iterator[UnitEvent]:
        """Mirror of the kernel's group: all slices of one n-buffer tile, its gather, its write."""
        group, state, machine = self.groups[place], self.state, self.machine
        rows, output_rows = int(self.job.rows[group.tile]), int(self.job.output_rows[group.tile])
        columns = int(ceil_ratio(group.width, 1, machine.array_columns))
        written = 0
        for number, unique in enumerate(group.live.tolist()):
            ready = int(state[at.READY])
            if number + 1 < len(group.live):
                yield from self._fetch(group, number + 1)
            elif place + 1 < len(self.groups):
                yield from self._fetch(self.groups[place + 1], 0)
            if number == 0:
                if state[at.WRITES_WAITING] == 2:
                    yield self._write()
                waits = int(state[at.WRITES_WAITING])
                written = int(state[at.WRITTEN if waits == 1 else at.WRITTEN_BEFORE])
            streaming = -(-unique // machine.row_lanes) * machine.cycles_per_pass
            for column in range(columns):
                label = f"tile {group.tile}, outputs {group.offset + column * machine.array_columns}, slice {number}"
                yield from self._fold(streaming, rows, ready, written, label)
            state[at.STEP_END] = state[at.CURSOR]
        begun = int(max(state[at.SCATTERED], state[at.GATHERED]))
        state[at.GATHERED_BEFORE] = state[at.GATHERED]
        working = machine.gather_cycles_per_row * rows + machine.mean_cycles_per_vector * output_rows
        state[at.GATHERED] = begun + working * columns
        if machine.gather_cycles_per_row:
            yield UnitEvent("gather", begun, int(state[at.GATHERED]), f"tile {group.tile}")
        amount = bytes_of(output_rows * group.width, machine.output_bits)
        amount += rows * columns * machine.map_write_bytes
        cycles = ceil_ratio(amount, machine.write_cycles_numerator, machine.cycles_denominator)
        queue_write(state, state[at.GATHERED], cycles)
        self.waiting_bytes.append(amount)

    @property
    def end_cycles(self) -> int:
        """When everything that has run is done."""
        return int(self.state[[at.CURSOR, at.DONE, at.SCATTERED, at.GATHERED, at.WRITTEN]].max())

    def run(self, until_cycles: int | None) -> Iterator[UnitEvent]:
        """Yield events; stop after the first n-buffer tile that ends beyond ``until_cycles``."""
        if not self.groups:
            return
        yield from self._fetch(self.groups[0], 0)
        for place in range(len(self.groups)):
            yield from self._group(place)
            if until_cycles is not None and self.state[at.CURSOR] > until_cycles:
                return
        while self.state[at.WRITES_WAITING]:
            yield self._write()


def fold_events(
    job: GemmJob, *, until_cycles: int | None = None, entry: int | None = None
) -> Iterator[UnitEvent]:
    """Yield busy intervals of one copy of a GEMM; within a unit they are ordered and disjoint.

    Args:
        job: What to run.
        until_cycles: Stop soon after this cycle; None runs to the end.
        entry: Which m-tile of causal attention; its tiles are GEMMs of their own.
    """
    for event in _Recorder(job, entry).run(until_cycles):
        if event.stop_cycles > event.start_cycles:
            yield event


def dram_events(job: GemmJob) -> tuple[list[UnitEvent], int]:
    """Return what one copy of a GEMM moves over the DRAM channel in order of service, and the cycles it takes.

    Tiles of causal attention follow one another, each a GEMM of its own.
    """
    found, begun = [], 0
    for entry in range(len(job.rows)) if job.tile_outputs is not None else [None]:
        recorder = _Recorder(job, entry)
        for event in recorder.run(None):
            if event.amount_bytes:
                start, stop = begun + event.start_cycles, begun + event.stop_cycles
                found.append(event._replace(start_cycles=start, stop_cycles=stop))
        begun += recorder.end_cycles
    return found, begun
