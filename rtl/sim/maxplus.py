"""When everything happens in one GEMM: recurrences over folds, steps and groups.

They were written from what the units wait for, not from the engine.

The same recurrences with the RTL's latencies must equal the RTL, and with the engine's latencies the engine, event
by event.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sim.cases import Case
from sim.latencies import Latencies

EVENTS = (
    "fetch_start", "fetch_arrives", "load_start", "load_end", "stream_start", "stream_end", "drained", "scattered",
    "gathered", "write_start", "written",
)  # fmt: skip
"""In the order of the numbers that the bench writes. Starts are the first cycle, ends the first cycle after."""

Times = dict[str, list[int]]


@dataclass
class _Channel:
    """DRAM: one transfer at a time; a fetch goes first where both could begin."""

    case: Case
    latency: int
    times: Times
    free: int = 0
    steps: list[tuple[int, int, int]] = field(default_factory=list)
    step_ends: list[int] = field(default_factory=list)

    def _cycles(self, amount: int, numerator: int) -> int:
        return -(-amount * numerator // self.case.denominator)

    def _may_write(self) -> int | None:
        place = len(self.times["written"])
        return self.times["gathered"][place] if place < len(self.times["gathered"]) else None

    def _may_fetch(self) -> int | None:
        place = len(self.times["fetch_arrives"])
        if place >= len(self.steps) or place - 2 >= len(self.step_ends):
            return None
        return self.step_ends[place - 2] if place >= 2 else 0

    def _fetch(self, earliest: int) -> None:
        start = max(self.free, earliest)
        tile, place, first = self.steps[len(self.times["fetch_arrives"])]
        self.free = start + self._cycles(self.case.fetch_bytes(tile, place, first), self.case.read_numerator)
        self.times["fetch_start"].append(start)
        self.times["fetch_arrives"].append(self.free + (self.latency if self.case.read_numerator else 0))

    def _write(self, earliest: int) -> None:
        start = max(self.free, earliest)
        tile, first, columns = self.case.groups[len(self.times["written"])]
        cycles = self._cycles(self.case.write_bytes(tile, first, columns), self.case.write_numerator)
        # Without a rate nothing passes through the channel, so nothing waits for it.
        if self.case.write_numerator:
            self.free = start + cycles
            self.times["write_start"].append(start)
        self.times["written"].append(start + cycles if self.case.write_numerator else earliest)

    def arrives(self, step: int) -> int:
        """Return when the data of a step are there, serving what comes before it."""
        while len(self.times["fetch_arrives"]) <= step:
            fetch, write = self._may_fetch(), self._may_write()
            assert fetch is not None  # noqa: S101
            if write is not None and max(self.free, write) < max(self.free, fetch):
                self._write(write)
            else:
                self._fetch(fetch)
        return self.times["fetch_arrives"][step]

    def is_written(self, group: int) -> int:
        """Return when a group is in DRAM, serving what comes before it."""
        while len(self.times["written"]) <= group:
            fetch, write = self._may_fetch(), self._may_write()
            assert write is not None  # noqa: S101
            if fetch is not None and max(self.free, fetch) <= max(self.free, write):
                self._fetch(fetch)
            else:
                self._write(write)
        return self.times["written"][group]


def scatter_end(
    case: Case, latencies: Latencies, index: NDArray[np.int64], start: int, before: int, is_first: bool
) -> int:
    """Return when the rows of a fold are restored.

    Args:
        case: Its lanes and ports.
        latencies: Of the array.
        index: (rows,) unique vector of each row.
        start: First cycle of the stream.
        before: When the fold before was restored.
        is_first: First k-slice: nothing is read from the output half.
    """
    rows, unique = len(index), int(index.max()) + 1
    first = start + latencies.first_output_cycles
    if not latencies.knows_maps:
        adding = -(-rows // case.lanes) * (2 if case.is_single_ported else 1)
        reading = -(-rows // case.read_ports) if case.read_ports else 0
        return max(max(before, first) + max(adding, reading), first + unique)
    arrival = (index + first).tolist()
    vectors = index.tolist()

    def readable(row: int, kept: int, cycle: int) -> int:
        """Return how many rows have their vectors in a cycle, `kept` of them from the cycle before."""
        reads, last = 0, None
        for place in range(min(case.lanes, rows - row)):
            vector = vectors[row + place]
            reads += place >= kept and vector != last
            if arrival[row + place] > cycle or (case.read_ports and reads > case.read_ports):
                return place
            last = vector
        return min(case.lanes, rows - row)

    cycle, row = before, 0
    while row < rows:
        kept = 0
        if case.is_single_ported and not is_first:
            kept = readable(row, 0, cycle)
            cycle += 1
        cycle = max(cycle, arrival[row])
        row += readable(row, kept, cycle)
        cycle += 1
    return cycle


def times_of(case: Case, latencies: Latencies, unique_outputs: list[list[int]] | None = None) -> Times:
    """Return the cycle of every event by kind, in order of folds, steps or groups.

    Args:
        case: The GEMM.
        latencies: The RTL's or the engine's.
        unique_outputs: Of each group and array column, the vectors that gather found; their means are read out.
    """
    times: Times = defaultdict(list)
    channel = _Channel(case, case.latency if latencies.has_latency else 0, times)
    channel.steps = [(t, k, first) for t, first, _ in case.groups for k in range(case.slices)]
    load_cycles = case.machine.rows * case.weight_row_cycles
    loaded = stream_end = stream_start = gathered = scattered = 0
    for group, (tile, _, columns) in enumerate(case.groups):
        for place in range(case.slices):
            step = len(channel.step_ends)
            for column in range(columns):
                fold = len(times["stream_start"])
                ready = channel.arrives(step)
                if not case.machine.is_wavefront:
                    free = stream_end + latencies.reload_cycles if fold else 0
                else:
                    free = max(0, stream_end - 1)
                load = max(loaded, free, ready)
                loaded = load + load_cycles
                is_ready = load + latencies.wavefront_lead_cycles if case.machine.is_wavefront else loaded
                stream_start = max(is_ready, stream_end)
                if fold >= 2:
                    stream_start = max(
                        stream_start, times["scattered" if case.lanes else "drained"][fold - 2]
                    )
                if group >= 2 and place == 0 and column == 0:
                    stream_start = max(stream_start, channel.is_written(group - 2))
                stream_end = stream_start + case.unique(tile, place)
                drained = stream_end + latencies.last_output_cycles
                if case.lanes:
                    scattered = scatter_end(
                        case, latencies, case.maps[tile][place], stream_start, scattered, place == 0
                    )
                    times["scattered"].append(scattered)
                for kind, cycle in (
                    ("load_start", load),
                    ("load_end", loaded),
                    ("stream_start", stream_start),
                    ("stream_end", stream_end),
                    ("drained", drained),
                ):
                    times[kind].append(cycle)
            channel.step_ends.append(stream_end)
        gathered = max(gathered, scattered if case.lanes else times["drained"][-1])
        if case.has_gather:
            gathered += latencies.gather_cycles * case.rows[tile] * columns
            if case.mean_cycles and unique_outputs is not None:
                gathered += case.mean_cycles * sum(unique_outputs[group])
        times["gathered"].append(gathered)
    channel.is_written(len(case.groups) - 1)
    return times
