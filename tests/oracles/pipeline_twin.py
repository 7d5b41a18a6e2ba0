"""The slow twin of the pipeline kernel: a state machine that advances one cycle at a time.

It knows none of the kernel's recurrences. Each resource holds what it works on and how many are left; in
every cycle it asks what may begin now, and the array is charged one cause. Written from the model in the
docstring of the kernel.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from focal_simulator.kernels.pipeline import CAUSES, Pipeline


@dataclass
class Fold:
    step: int
    group: int
    streaming: int
    rows: int
    is_last_of_step: bool
    is_last_of_group: bool


@dataclass
class Machine:
    """All resources and queues at one cycle."""

    pipeline: Pipeline
    folds: list[Fold]
    step_cycles: list[int]
    gather_cycles: list[int]
    write_cycles: list[int]
    now: int = 0
    fetched: int = 0  # steps whose data are in the buffer
    fetching: int = -1
    fetch_left: int = 0
    writing: int = -1
    write_left: int = 0
    write_queue: deque[int] = field(default_factory=deque)
    written: set[int] = field(default_factory=set)
    gathered: set[int] = field(default_factory=set)
    gather_queue: deque[int] = field(default_factory=deque)
    gathering: int = -1
    gather_left: int = 0
    loading: int = -1
    load_left: int = 0
    lead_left: int = 0
    loaded: int = -1  # last fold whose weights are loaded
    let_in: int = -1  # last fold whose weights let rows in
    streaming: int = -1
    stream_left: int = 0
    started: int = -1  # last fold whose stream began
    streamed: int = -1  # last fold whose stream ended
    streamed_steps: int = 0
    stream_start: dict[int, int] = field(default_factory=dict)
    scattered: int = -1  # last fold whose scatter ended
    scattering: int = -1
    scatter_left: int = 0

    @property
    def is_serial(self) -> bool:
        return not (self.pipeline.is_weight_double_buffered or self.pipeline.is_weight_wavefront)

    def has_passed(self, fold: int, cycles: int) -> bool:
        """Return whether so many cycles have passed since the last row of a fold."""
        if fold < 0:
            return True
        return fold in self.stream_start and (
            self.now >= self.stream_start[fold] + self.folds[fold].streaming + cycles
        )

    def has_left(self, fold: int) -> bool:
        """Return whether no register of the array holds anything of a fold."""
        return self.has_passed(fold, self.pipeline.skew_cycles)

    def is_out(self, fold: int) -> bool:
        """Return whether the last output of a fold is in its buffer."""
        return self.has_passed(fold, self.pipeline.skew_cycles + self.pipeline.output_latency_cycles)

    def is_last_restored(self, fold: int) -> bool:
        """Return whether scatter, or accumulation, can have met the last row of a fold."""
        if self.pipeline.scatter_rows_per_cycle == 0:
            return self.is_out(fold)
        return self.has_passed(fold, self.pipeline.skew_cycles + self.pipeline.scatter_latency_cycles)

    def frees_registers(self, fold: int) -> bool:
        """Return whether the weights after those of a fold may load."""
        if fold < 0:
            return True
        if self.pipeline.is_weight_double_buffered:
            return self.started >= fold
        if self.pipeline.is_weight_wavefront:
            return self.has_passed(fold, -1)  # its last row streams, or has
        return self.has_left(fold)

    def finish_what_ends(self) -> None:
        if self.streaming >= 0 and self.stream_left == 0:
            self.streamed = self.streaming
            self.streamed_steps += self.folds[self.streaming].is_last_of_step
            self.streaming = -1
        if self.loading >= 0 and self.lead_left == 0:
            self.let_in = self.loading
        if self.loading >= 0 and self.load_left == 0:
            self.loaded, self.loading = self.loading, -1
        if self.fetching >= 0 and self.fetch_left == 0:
            self.fetched, self.fetching = self.fetched + 1, -1
        if self.writing >= 0 and self.write_left == 0:
            self.written.add(self.writing)
            self.writing = -1
        if self.scattering >= 0 and self.scatter_left == 0 and self.is_last_restored(self.scattering):
            self.scattered = self.scattering
            if self.folds[self.scattering].is_last_of_group:
                self.gather_queue.append(self.folds[self.scattering].group)
            self.scattering = -1
        if self.gathering >= 0 and self.gather_left == 0:
            self.gathered.add(self.gathering)
            self.write_queue.append(self.gathering)
            self.gathering = -1

    def begin_scatter(self) -> None:
        following = self.scattered + 1
        if self.scattering >= 0 or following not in self.stream_start:
            return
        if self.pipeline.scatter_rows_per_cycle == 0:
            self.scattering, self.scatter_left = following, 0  # ends with the last output
        elif self.now >= self.stream_start[following] + machine_first(self.pipeline):
            self.scattering = following
            self.scatter_left = restoring(self.pipeline, self.folds[following].rows)

    def begin_what_may(self) -> None:
        following = self.loaded + 1
        is_there = following < len(self.folds) and self.folds[following].step < self.fetched
        if self.loading < 0 and is_there and self.frees_registers(following - 1):
            self.loading = following
            self.load_left = self.pipeline.weight_load_cycles
            self.lead_left = self.pipeline.weight_lead_cycles
        if self.fetching < 0 and self.writing < 0:
            step = self.fetched
            if step < len(self.step_cycles) and self.streamed_steps >= step - 1:
                self.fetching, self.fetch_left = step, self.step_cycles[step]
            elif self.write_queue:
                group = self.write_queue.popleft()
                self.writing, self.write_left = group, self.write_cycles[group]
        self.begin_scatter()
        if self.gathering < 0 and self.gather_queue:
            group = self.gather_queue.popleft()
            self.gathering, self.gather_left = group, self.gather_cycles[group]
        fold = self.streamed + 1
        if self.streaming < 0 and fold < len(self.folds) and self.why_not(fold) is None:
            self.streaming, self.stream_left = fold, self.folds[fold].streaming
            self.started = fold
            self.stream_start[fold] = self.now

    def why_not(self, fold: int) -> str | None:
        """Return the first cause that keeps a fold from streaming now, or None."""
        work = self.folds[fold]
        if work.step >= self.fetched:
            return "dram_read"
        if work.group >= 2 and work.group - 2 not in self.written:
            return "dram_write"
        if work.group >= 2 and work.group - 2 not in self.gathered:
            return "gather"
        if fold >= 2 and self.scattered < fold - 2:
            return "scatter"
        if self.is_serial and not self.has_left(fold - 1):
            return "fill_drain"
        if self.let_in < fold:
            return "weight"
        return None

    def settle(self) -> None:
        """Repeat until nothing more can end or begin in this cycle."""
        while True:
            before = self.picture()
            self.finish_what_ends()
            self.begin_what_may()
            if self.picture() == before:
                return

    def picture(self) -> tuple[object, ...]:
        return (
            self.fetched,
            self.fetching,
            self.writing,
            len(self.written),
            len(self.gathered),
            self.gathering,
            self.loading,
            self.loaded,
            self.let_in,
            self.streaming,
            self.streamed,
            self.scattering,
            self.scattered,
        )

    def cause(self) -> str | None:
        """Return why this cycle passes, or None when all work is over."""
        if self.streaming >= 0:
            return "stream"
        if self.streamed + 1 < len(self.folds):
            return self.why_not(self.streamed + 1)
        if not self.is_out(len(self.folds) - 1):
            return "fill_drain"
        if self.scattered < len(self.folds) - 1:
            return "scatter"
        if len(self.gathered) < len(self.gather_cycles):
            return "gather"
        if len(self.written) < len(self.write_cycles):
            return "dram_write"
        return None

    def tick(self) -> None:
        self.now += 1
        for name in vars(self):
            if name.endswith("_left"):
                setattr(self, name, max(0, getattr(self, name) - 1))


def machine_first(pipeline: Pipeline) -> int:
    """Return the cycles from a row that streams to the cycle in which scatter can read it."""
    return pipeline.skew_cycles + pipeline.scatter_latency_cycles


def restoring(pipeline: Pipeline, rows: int) -> int:
    """Return the cycles of restoring rows, a word of rows after the other, each read and each added."""
    cycles = reads = 0
    for begin in range(0, rows, pipeline.scatter_rows_per_cycle):
        reads += min(pipeline.scatter_rows_per_cycle, rows - begin)
        cycles += pipeline.accumulate_cycles
    if pipeline.concentrate_reads_per_cycle:
        cycles = max(cycles, -(-reads // pipeline.concentrate_reads_per_cycle))
    return cycles


def build(
    pipeline: Pipeline, rows: list[int], unique: list[list[int]], output_rows: list[int], outputs: int
) -> Machine:
    """Lay out folds, steps and groups in the order of the published loops."""
    h, w = pipeline.slice_elements, pipeline.array_columns
    folds: list[Fold] = []
    steps: list[int] = []
    gathers: list[int] = []
    writes: list[int] = []

    def time(bits: int, map_bytes: int, numerator: int) -> int:
        amount = -(-bits // 8) + map_bytes
        return -(-amount * numerator // pipeline.cycles_denominator)

    for tile, tile_rows in enumerate(rows):
        live = [value for value in unique[tile] if value]
        for offset in range(0, outputs if live else 0, pipeline.columns_per_buffer * w):
            width = min(pipeline.columns_per_buffer * w, outputs - offset)
            columns = -(-width // w)
            for place, value in enumerate(live):
                for column in range(columns):
                    is_last = column == columns - 1
                    folds.append(
                        Fold(
                            step=len(steps),
                            group=len(gathers),
                            streaming=-(-value // pipeline.row_lanes) * pipeline.cycles_per_pass,
                            rows=tile_rows,
                            is_last_of_step=is_last,
                            is_last_of_group=is_last and place == len(live) - 1,
                        )
                    )
                map_bytes = tile_rows * pipeline.map_read_bytes
                bits = value * h * pipeline.input_bits + h * width * pipeline.weight_bits
                steps.append(time(bits, map_bytes, pipeline.read_cycles_numerator))
            found = pipeline.mean_cycles_per_vector * output_rows[tile]
            gathers.append((pipeline.gather_cycles_per_row * tile_rows + found) * columns)
            map_bytes = tile_rows * columns * pipeline.map_write_bytes
            bits = output_rows[tile] * width * pipeline.output_bits
            writes.append(time(bits, map_bytes, pipeline.write_cycles_numerator))
    return Machine(pipeline, folds, steps, gathers, writes)


def twin_cycles(
    pipeline: Pipeline, rows: list[int], unique: list[list[int]], output_rows: list[int], outputs: int
) -> dict[str, int]:
    """Return cycles per cause, one tick at a time."""
    machine = build(pipeline, rows, unique, output_rows, outputs)
    causes = dict.fromkeys(CAUSES, 0)
    while machine.folds:
        machine.settle()
        cause = machine.cause()
        if cause is None:
            return causes
        causes[cause] += 1
        machine.tick()
    return causes
