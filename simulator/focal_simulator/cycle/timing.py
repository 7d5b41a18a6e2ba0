"""Times jobs: the kernel for the array, then the units beside and before it. Equal jobs are timed once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from focal_simulator.cycle.causes import CAUSES, GEMM_CAUSES
from focal_simulator.cycle.jobs import GemmJob
from focal_simulator.kernels.batch import independent_cycles
from focal_simulator.kernels.pipeline import gemm_cycles

__all__ = ["JobTime", "gemm_key", "time_jobs"]


@dataclass(frozen=True, slots=True)
class JobTime:
    """Cycles of one job, all copies.

    Attributes:
        job: What was timed.
        causes: Cycles by cause, axis `CAUSES`, int64.
        stepped_tiles: n-buffer tiles really stepped through, one copy.
    """

    job: GemmJob
    causes: NDArray[np.int64]
    stepped_tiles: int

    @property
    def total_cycles(self) -> int:
        """All cycles."""
        return int(self.causes.sum())


def _gemm(job: GemmJob, is_shortened: bool) -> tuple[NDArray[np.int64], int]:
    if job.tile_outputs is None or job.tile_slices is None:
        return gemm_cycles(job.machine, job.rows, job.unique, job.output_rows, job.outputs, is_shortened)
    return independent_cycles(
        job.machine, job.rows, job.unique, job.output_rows, job.tile_outputs, job.tile_slices, is_shortened
    )


def _dram_cycles(job: GemmJob) -> int:
    """Return how long the DRAM channel is busy for all copies, extra reads included."""
    shape, machine = job.shape, job.machine
    read = (shape.fetched_elements + shape.weight_elements) * machine.element_bytes + shape.map_read_bytes
    written = shape.written_elements * machine.element_bytes + shape.map_written_bytes
    amount = (job.scaled(read) + job.extra_read_bytes) * machine.read_cycles_numerator
    amount += job.scaled(written) * machine.write_cycles_numerator
    return -(-amount // machine.cycles_denominator)


def _with_units(job: GemmJob, gemm: NDArray[np.int64]) -> NDArray[np.int64]:
    """Add what units beside the array exceed it by, the longest naming the cause, and what runs before it."""
    causes = np.zeros(len(CAUSES), dtype=np.int64)
    causes[: len(GEMM_CAUSES)] = gemm * job.copies // job.copies_divisor
    total = int(causes.sum())
    beside = dict(job.beside)
    if job.extra_read_bytes:
        beside["dram_read"] = _dram_cycles(job)
    if beside:
        slowest = max(beside, key=lambda cause: (beside[cause], cause))
        causes[CAUSES.index(slowest)] += max(0, beside[slowest] - total)
    for cause, cycles in job.before.items():
        causes[CAUSES.index(cause)] += cycles
    return causes


def time_jobs(jobs: Iterable[GemmJob], *, is_shortened: bool = True) -> list[JobTime]:
    """Time jobs one after the other.

    Args:
        jobs: In the order of execution.
        is_shortened: Skip n-buffer tiles that provably repeat; the result is the same.
    """
    known: dict[tuple[object, ...], tuple[NDArray[np.int64], int]] = {}
    times = []
    for job in jobs:
        key = gemm_key(job)
        if key not in known:
            known[key] = _gemm(job, is_shortened)
        gemm, stepped = known[key]
        times.append(JobTime(job, _with_units(job, gemm), stepped))
    return times


def gemm_key(job: GemmJob) -> tuple[object, ...]:
    """Identify a GEMM by content: k and v, gate and up, and often whole blocks, are equal."""
    parts = (job.rows, job.unique, job.output_rows, job.tile_outputs, job.tile_slices)
    return (
        job.machine,
        job.outputs,
        *(None if part is None else (part.shape, part.tobytes()) for part in parts),
    )
