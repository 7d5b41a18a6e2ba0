"""Jobs of one run in flat arrays: packed once for all machines, counted on one of them in a few vectorised steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focal_simulator.jobs.jobs import CAUSES, GemmJob, JobShape, PlacedJob
from focal_simulator.jobs.lowering import Lowering, Units
from focal_simulator.kernels.pipeline import CAUSES as GEMM_CAUSES
from focal_simulator.kernels.pipeline import Pipeline
from focal_simulator.kernels.steady import PackedGemms, packed_cycles
from focal_simulator.kernels.sums import packed_sums
from focal_simulator.workload.layer_table import Traffic, add_traffic

Numbers = NDArray[np.int64]

_DRAM_READ = CAUSES.index("dram_read")
_MOST = np.iinfo(np.int64).max // 2
_YIELDS_TO_READS = np.array([name < "dram_read" for name in CAUSES])
"""Of units that work equally long beside a GEMM, the last in the alphabet names the cause."""


@dataclass(frozen=True, eq=False)
class JobGroup:
    """Jobs that use the same units of an array; axes (jobs) unless said otherwise.

    Attributes:
        role: Which units; see `focal_simulator.jobs.lowering.Array`.
        members: The jobs.
        places: Place of each job in the run.
        gemms: Distinct GEMMs.
        which: Place among them.
        copies: Equal GEMMs of a job.
        divisors: Copies are divided by it.
        cause: Place in `CAUSES` of the unit beside each GEMM that works longest.
        longest_cycles: How long it works; 0 without one.
        serial_cycles: Cycles that pass before the GEMMs, axes (jobs, `CAUSES`).
        extra_read_bytes: Bytes read from DRAM beside those of the GEMM.
        extra_write_bytes: Bytes written to DRAM beside those of the GEMM.
        busy: Cycles that units outside the array work, by unit.
        traffic: Bytes that do not follow from the array.
        is_ratio: Whether the job counts in the mean compression.
    """

    role: Any
    members: tuple[GemmJob, ...]
    places: Numbers
    gemms: PackedGemms
    which: Numbers
    copies: Numbers
    divisors: Numbers
    cause: Numbers
    longest_cycles: Numbers
    serial_cycles: Numbers
    extra_read_bytes: Numbers
    extra_write_bytes: Numbers
    busy: Mapping[str, Numbers]
    traffic: Mapping[Traffic, Numbers]
    is_ratio: NDArray[np.bool_]

    @cached_property
    def _known_sums(self) -> dict[tuple[int, int], Numbers]:
        return {}

    def sums(self, array_columns: int, columns_per_buffer: int) -> Numbers:
        """Return the sums over the tiles of one copy, axes (`SUMS`, jobs); found once for all machines that agree."""
        key = (array_columns, columns_per_buffer)
        if key not in self._known_sums:
            found = packed_sums(self.gemms, *key)[:, self.which]
            found.setflags(write=False)
            self._known_sums[key] = found
        return self._known_sums[key]

    @cached_property
    def has_extra_bytes(self) -> bool:
        """Whether anything moves to or from DRAM beside the GEMMs."""
        return bool(self.extra_read_bytes.any() or self.extra_write_bytes.any())


@dataclass(frozen=True, eq=False)
class BatchedJobs:
    """All jobs of a run.

    Attributes:
        groups: By role.
        jobs: Number of jobs.
        macs: Multiply-accumulates executed.
        dense_macs: Multiply-accumulates without compression.
        activation_bytes: Inputs that stay after compression.
    """

    groups: tuple[JobGroup, ...]
    jobs: int
    macs: int
    dense_macs: int
    activation_bytes: int


@dataclass(frozen=True, eq=False)
class GroupCounts:
    """What a group counts on its part of an array; each number is found once, when it is first asked for.

    Attributes:
        group: The jobs.
        units: What they use.
    """

    group: JobGroup
    units: Units

    @property
    def machine(self) -> Pipeline:
        """Constants of the array."""
        return self.units.machine

    @cached_property
    def shape(self) -> JobShape:
        """Sums over the tiles of one copy, each with axis (jobs)."""
        sums = self.group.sums(self.machine.array_columns, self.machine.columns_per_buffer)
        return JobShape.counted(self.machine, list(sums))

    def scaled(self, value: Any) -> Any:
        """Return a quantity of one copy for all copies, axis (jobs)."""
        return value * self.group.copies // self.group.divisors

    @cached_property
    def gemm_causes(self) -> Numbers:
        """Cycles of the GEMMs alone on one array that has the memory to itself, axes (jobs, `GEMM_CAUSES`)."""
        group = self.group
        gemm: Numbers = packed_cycles(self.machine, group.gemms)[group.which]
        return gemm * group.copies[:, None] // group.divisors[:, None]

    @cached_property
    def causes(self) -> Numbers:
        """Cycles of each job, axes (jobs, `CAUSES`): the GEMM, the excess of parallel units, serial units."""
        group = self.group
        beside = (group.cause, group.longest_cycles, group.serial_cycles)
        return self.with_units(self.gemm_causes, *beside, lambda: self.shape)

    def with_units(
        self, gemm: Numbers, cause: Numbers, longest: Numbers, serial: Numbers, shape: Callable[[], JobShape]
    ) -> Numbers:
        """Return cycles by cause of GEMMs with the units beside and before them.

        Args:
            gemm: Cycles of the GEMMs alone, axes (jobs, `GEMM_CAUSES`).
            cause: See `JobGroup`, as for the next two.
            longest: Cycles of the unit beside each GEMM that works longest.
            serial: Cycles that pass before the GEMMs.
            shape: Gives the sums that bytes follow from, where they are asked for.
        """
        group = self.group
        if group.has_extra_bytes:
            reading = self._dram_cycles(shape())
            is_reading = (reading > longest) | ((reading == longest) & _YIELDS_TO_READS[cause])
            is_reading &= (group.extra_read_bytes > 0) | (group.extra_write_bytes > 0)
            cause, longest = np.where(is_reading, _DRAM_READ, cause), np.where(is_reading, reading, longest)
        found = serial.copy()
        found[:, : len(GEMM_CAUSES)] += gemm
        found[np.arange(len(found)), cause] += np.maximum(0, longest - gemm.sum(axis=1))
        return found

    def _dram_cycles(self, shape: JobShape) -> Numbers:
        """Return how long each job keeps the DRAM channel busy, extra bytes included."""
        machine = self.machine
        reads = self.scaled(shape.read_bytes(machine)) + self.group.extra_read_bytes
        writes = self.scaled(shape.written_bytes(machine)) + self.group.extra_write_bytes
        rates = (machine.read_cycles_numerator, machine.write_cycles_numerator)
        if int(reads.max(initial=0)) * rates[0] + int(writes.max(initial=0)) * rates[1] > _MOST:
            # Integers of any size.
            reads, writes = reads.astype(object), writes.astype(object)
        found = -(-(reads * rates[0] + writes * rates[1]) // machine.cycles_denominator)
        return np.asarray(found, dtype=np.int64)

    @cached_property
    def traffic(self) -> Mapping[Traffic, Numbers]:
        """Bytes by (level, direction, buffer), axis (jobs)."""
        group = self.group
        parts = [(1, self.units.traffic(self)), (1, group.traffic)]
        reads: list[Traffic] = [("dram", "read", "input"), ("sram", "write", "input")]
        writes: list[Traffic] = [("dram", "write", "output"), ("sram", "read", "output")]
        for ways, moved in ((reads, group.extra_read_bytes), (writes, group.extra_write_bytes)):
            if moved.any():
                parts.append((1, dict.fromkeys(ways, moved)))
        return add_traffic(parts)

    @cached_property
    def total_causes(self) -> Numbers:
        """Cycles of all jobs, axis `CAUSES`."""
        total: Numbers = self.causes.sum(axis=0)
        return total

    @cached_property
    def total_traffic(self) -> Mapping[Traffic, int]:
        """Bytes of all jobs by (level, direction, buffer)."""
        return {key: int(value.sum()) for key, value in self.traffic.items()}

    @cached_property
    def busy(self) -> Mapping[str, Numbers]:
        """Cycles in which each kind of unit works, axis (jobs), whether or not anything waits for it."""
        found, machine = dict(self.group.busy), self.machine
        found["array"] = self.gemm_causes[:, 0]
        if machine.scatter_rows_per_cycle:
            rows = self.scaled(self.shape.scattered_rows) // machine.scatter_rows_per_cycle
            found["scatter"] = found.get("scatter", 0) + rows
        gathered = self.scaled(self.shape.gathered_rows) * machine.gather_cycles_per_row
        gathered += self.scaled(self.shape.gathered_vectors) * machine.mean_cycles_per_vector
        found["gather"] = found.get("gather", 0) + gathered
        return found

    @cached_property
    def busy_cycles(self) -> Mapping[str, int]:
        """The same, all jobs."""
        return {unit: int(cycles.sum()) for unit, cycles in self.busy.items()}

    @cached_property
    def ratios(self) -> NDArray[np.float64]:
        """Rows before over rows after concentration; NaN where nothing streams or it does not count."""
        rows, streamed = self.shape.scattered_rows, self.shape.streamed_rows
        counts = self.group.is_ratio & (streamed > 0)
        return np.where(counts, rows / np.where(counts, streamed, 1), np.nan)

    def placed(self) -> list[PlacedJob]:
        """Return the jobs one by one, with their machine, their sums and all bytes they move."""
        sums = np.stack([getattr(self.shape, name) for name in JobShape.__slots__], axis=1).tolist()
        moved = {key: value.tolist() for key, value in self.traffic.items()}
        return [
            PlacedJob(
                **{
                    **vars(job),
                    "machine": self.machine,
                    "traffic": {key: values[number] for key, values in moved.items()},
                    "shape": JobShape(*sums[number]),
                }
            )
            for number, job in enumerate(self.group.members)
        ]


def batched_jobs(jobs: Sequence[GemmJob]) -> BatchedJobs:
    """Pack the jobs of one run, in order, by role."""
    roles: dict[Any, list[int]] = {}
    for place, job in enumerate(jobs):
        roles.setdefault(job.machine if job.role is None else job.role, []).append(place)
    return BatchedJobs(
        groups=tuple(_group(role, places, jobs) for role, places in roles.items()),
        jobs=len(jobs),
        macs=sum(job.macs for job in jobs),
        dense_macs=sum(job.dense_macs for job in jobs),
        activation_bytes=sum(job.activation_bytes for job in jobs),
    )


def in_order(counts: Sequence[GroupCounts], parts: Iterable[Sequence[Any]]) -> list[Any]:
    """Return what each group gives for its jobs in the order of execution."""
    found = {
        place: value
        for group, values in zip(counts, parts, strict=True)
        for place, value in zip(group.group.places.tolist(), values, strict=True)
    }
    return [found[place] for place in range(len(found))]


def placed_jobs(lowering: Lowering) -> list[PlacedJob]:
    """Return the jobs of a run in order, on their machines; nothing is timed."""
    groups = batched_jobs(lowering.tiles.jobs()).groups
    counts = [GroupCounts(group, lowering.array.units(group.role)) for group in groups]
    return in_order(counts, [one.placed() for one in counts])


def _group(role: Any, places: list[int], jobs: Sequence[GemmJob]) -> JobGroup:
    members = [jobs[place] for place in places]
    distinct: dict[tuple[object, ...], int] = {}
    which = [distinct.setdefault(_gemm_key(job), len(distinct)) for job in members]
    first = [members[which.index(number)] for number in range(len(distinct))]
    longest = [
        max(((cycles, cause) for cause, cycles in job.parallel_cycles.items()), default=(0, "sfu"))
        for job in members
    ]
    serial = np.zeros((len(members), len(CAUSES)), dtype=np.int64)
    busy: dict[str, Numbers] = {}
    for place, job in enumerate(members):
        for cause, cycles in job.serial_cycles.items():
            serial[place, CAUSES.index(cause)] += cycles
        for units in (job.parallel_cycles, job.serial_cycles):
            for unit, cycles in units.items():
                busy.setdefault(unit, np.zeros(len(members), dtype=np.int64))[place] += cycles
    kinds = dict.fromkeys(key for job in members for key in job.traffic)
    return JobGroup(
        role=role,
        members=tuple(members),
        places=_numbers(places),
        gemms=_packed(first),
        which=_numbers(which),
        copies=_numbers(job.copies for job in members),
        divisors=_numbers(job.copies_divisor for job in members),
        cause=_numbers(CAUSES.index(cause) for _, cause in longest),
        longest_cycles=_numbers(cycles for cycles, _ in longest),
        serial_cycles=serial,
        extra_read_bytes=_numbers(job.extra_read_bytes for job in members),
        extra_write_bytes=_numbers(job.extra_write_bytes for job in members),
        busy=busy,
        traffic={key: _numbers(job.traffic.get(key, 0) for job in members) for key in kinds},
        is_ratio=np.array([job.part in ("gemm", "scores") for job in members]),
    )


def _gemm_key(job: GemmJob) -> tuple[object, ...]:
    """Identify a GEMM of a group by content: k and v, gate and up, and often whole blocks, are equal."""
    parts = (job.rows, job.unique, job.output_rows, job.tile_outputs, job.tile_slices, job.tile_copies)
    return (job.outputs, *(None if part is None else (part.shape, part.tobytes()) for part in parts))


def _packed(jobs: list[GemmJob]) -> PackedGemms:
    outputs = [
        np.full(len(job.rows), job.outputs) if job.tile_outputs is None else job.tile_outputs for job in jobs
    ]
    lines, lengths = [], []
    for job in jobs:
        width = job.unique.shape[1]
        deep = np.full(len(job.rows), width) if job.tile_slices is None else job.tile_slices
        is_live = (job.unique > 0) & (np.arange(width) < np.asarray(deep)[:, None])
        lines.append(job.unique[is_live])
        lengths.append(is_live.sum(axis=1))
    return PackedGemms(
        first=_starts([len(job.rows) for job in jobs]),
        is_independent=_numbers(job.tile_outputs is not None for job in jobs),
        rows=_joined([job.rows for job in jobs]),
        output_rows=_joined([job.output_rows for job in jobs]),
        outputs=_joined(outputs),
        copies=_joined(
            [np.ones(len(job.rows)) if job.tile_copies is None else job.tile_copies for job in jobs]
        ),
        unique=_joined(lines),
        offsets=_starts(_joined(lengths)),
    )


def _starts(lengths: Any) -> Numbers:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


def _joined(parts: Sequence[Any]) -> Numbers:
    return np.concatenate(parts).astype(np.int64)


def _numbers(values: Iterable[Any]) -> Numbers:
    return np.array(list(values), dtype=np.int64)
