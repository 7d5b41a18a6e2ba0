"""Cycles of each GEMM of a run, in the order of execution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from focal_simulator.cycle.jobs import PlacedJob
from focal_simulator.cycle.packed import GroupCounts, in_order

__all__ = ["JobTime", "job_times"]


@dataclass(frozen=True, slots=True)
class JobTime:
    """Cycles of one job, all copies.

    Attributes:
        job: What was timed.
        causes: Cycles by cause, axis `CAUSES`, int64.
    """

    job: PlacedJob
    causes: NDArray[np.int64]

    @property
    def total_cycles(self) -> int:
        """All cycles."""
        return int(self.causes.sum())


def job_times(counts: Sequence[GroupCounts]) -> tuple[JobTime, ...]:
    """Return the jobs of counted groups with their cycles."""
    pairs = [zip(one.placed(), one.causes, strict=True) for one in counts]
    return tuple(JobTime(job, causes) for job, causes in in_order(counts, [list(pair) for pair in pairs]))
