"""Jobs of one workload in flat arrays, lowered once and timed on many machines.

The slow twin is `focal_simulator.cycle.timing.time_jobs` with `focal_simulator.cycle.totals.Totals.of`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focal_simulator.cycle.causes import CAUSES, GEMM_CAUSES
from focal_simulator.cycle.jobs import GemmJob, JobShape
from focal_simulator.cycle.timing import gemm_key
from focal_simulator.kernels.pipeline import Pipeline
from focal_simulator.kernels.steady import PackedGemms, packed_cycles
from focal_simulator.kernels.sums import packed_sums
from focal_simulator.layer_table import Traffic

__all__ = ["JobGroup", "PlacedGroup", "packed_groups", "summed_traffic"]

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class JobGroup:
    """Jobs that use the same units of a machine; axes (jobs) unless said otherwise.

    Attributes:
        role: Which units.
        places: Place of each job in the run.
        gemms: Distinct GEMMs.
        which: Place among them.
        copies: Equal GEMMs of a job.
        divisors: Copies are divided by it.
        cause: Place in `CAUSES` of the unit beside each GEMM that works longest.
        cycles: How long it works; 0 without one.
        is_ratio: Whether the job counts in the mean compression.
        busy: Cycles that units beside all GEMMs work.
        macs: Multiply-accumulates, all jobs.
        dense_macs: Likewise without compression.
        activation_bytes: Inputs that stay, all jobs.
    """

    role: Any
    places: Numbers
    gemms: PackedGemms
    which: Numbers
    copies: Numbers
    divisors: Numbers
    cause: Numbers
    cycles: Numbers
    is_ratio: NDArray[np.bool_]
    busy: Mapping[str, int]
    macs: int
    dense_macs: int
    activation_bytes: int


@dataclass(frozen=True)
class PlacedGroup:
    """A group on a machine; what it moves follows from array-valued sums as for a single job.

    Attributes:
        group: The jobs.
        machine: Constants.
    """

    group: JobGroup
    machine: Pipeline
    extra_read_bytes: int = 0

    @property
    def role(self) -> Any:
        """Which units of the machine the jobs use."""
        return self.group.role

    @cached_property
    def shape(self) -> JobShape:
        """Sums over the tiles of one copy, each with axis (jobs)."""
        sums = packed_sums(self.group.gemms, self.machine.array_columns, self.machine.columns_per_buffer)
        return JobShape.counted(self.machine, list(sums[:, self.group.which]))

    def scaled(self, value: Any) -> Any:
        """Return a quantity of one copy for all copies, axis (jobs)."""
        return value * self.group.copies // self.group.divisors

    def causes(self) -> Numbers:
        """Return the cycles of all jobs, axis `CAUSES`."""
        group = self.group
        timed = packed_cycles(self.machine, group.gemms)[group.which]
        timed = timed * group.copies[:, None] // group.divisors[:, None]
        found = np.zeros(len(CAUSES), dtype=np.int64)
        found[: len(GEMM_CAUSES)] = timed.sum(axis=0)
        np.add.at(found, group.cause, np.maximum(0, group.cycles - timed.sum(axis=1)))
        return found

    def busy(self, stream_cycles: int) -> dict[str, int]:
        """Return the cycles in which each kind of unit works, all jobs."""
        found = dict(self.group.busy)
        found["array"] = stream_cycles
        if self.machine.scatter_rows_per_cycle:
            rows = self.scaled(self.shape.scattered_rows) // self.machine.scatter_rows_per_cycle
            found["scatter"] = found.get("scatter", 0) + int(rows.sum())
        gathered = self.scaled(self.shape.gathered_rows) * self.machine.gather_cycles_per_row
        found["gather"] = found.get("gather", 0) + int(gathered.sum())
        return found

    def ratios(self) -> NDArray[np.float64]:
        """Return rows before over rows after concentration; NaN where nothing streams or it does not count."""
        rows, streamed = np.asarray(self.shape.scattered_rows), np.asarray(self.shape.streamed_rows)
        counts = self.group.is_ratio & (streamed > 0)
        return np.where(counts, rows / np.where(counts, streamed, 1), np.nan)


def packed_groups(jobs: Sequence[GemmJob]) -> list[JobGroup]:
    """Pack jobs by role.

    Args:
        jobs: Of one run, in order; nothing runs before them, and none reads beside its own data.
    """
    roles: dict[Any, list[int]] = {}
    for place, job in enumerate(jobs):
        roles.setdefault(job.role, []).append(place)
    return [_group(role, places, jobs) for role, places in roles.items()]


def _group(role: Any, places: list[int], jobs: Sequence[GemmJob]) -> JobGroup:
    members = [jobs[place] for place in places]
    distinct: dict[tuple[object, ...], int] = {}
    which = [distinct.setdefault(gemm_key(job), len(distinct)) for job in members]
    first = [members[which.index(number)] for number in range(len(distinct))]
    beside = [
        max(((cycles, cause) for cause, cycles in job.beside.items()), default=(0, "sfu")) for job in members
    ]
    busy: dict[str, int] = {}
    for job in members:
        for unit, cycles in job.beside.items():
            busy[unit] = busy.get(unit, 0) + cycles
    return JobGroup(
        role=role,
        places=_numbers(places),
        gemms=_packed(first),
        which=_numbers(which),
        copies=_numbers(job.copies for job in members),
        divisors=_numbers(job.copies_divisor for job in members),
        cause=_numbers(CAUSES.index(cause) for _, cause in beside),
        cycles=_numbers(cycles for cycles, _ in beside),
        is_ratio=np.array([job.part != "values" for job in members]),
        busy=busy,
        macs=sum(job.macs for job in members),
        dense_macs=sum(job.dense_macs for job in members),
        activation_bytes=sum(job.activation_bytes for job in members),
    )


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
        unique=_joined(lines),
        offsets=_starts(_joined(lengths)),
    )


def _starts(lengths: Any) -> Numbers:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


def _joined(parts: Sequence[Any]) -> Numbers:
    return np.concatenate(parts).astype(np.int64)


def _numbers(values: Iterable[Any]) -> Numbers:
    return np.array(list(values), dtype=np.int64)


def summed_traffic(traffic: Mapping[Traffic, Any]) -> dict[Traffic, int]:
    """Return the bytes of all jobs of a group."""
    return {key: int(np.sum(value)) for key, value in traffic.items()}
