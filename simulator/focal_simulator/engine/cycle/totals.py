"""What the groups of a run sum to before anything is priced: whole numbers, so that the order does not matter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from focal_simulator.engine.cycle.packed import BatchedJobs, GroupCounts
from focal_simulator.hardware.specs import UNITS
from focal_simulator.jobs.jobs import CAUSES, STALLS
from focal_simulator.workload.arithmetic import exact_sum
from focal_simulator.workload.layer_table import Traffic


@dataclass(frozen=True)
class Totals:
    """Counts of one run; sums of them are found once, however many designs share it.

    Attributes:
        causes: Cycles by cause, in the order of `CAUSES`.
        busy_cycles: Cycles in which each kind of unit works.
        moved: Bytes by (level, direction, buffer).
        macs: Multiply-accumulates executed.
        dense_macs: Multiply-accumulates without compression.
        activation_bytes: Layer inputs that stay after compression.
        compression_ratio: Mean rows before over rows after concentration.
    """

    causes: tuple[int, ...]
    busy_cycles: Mapping[str, int]
    moved: Mapping[Traffic, int | float]
    macs: int
    dense_macs: int
    activation_bytes: int
    compression_ratio: float

    @cached_property
    def cycles(self) -> int:
        """All cycles."""
        return sum(self.causes)

    @cached_property
    def stalls(self) -> int:
        """Cycles that passed for reasons outside the array."""
        return sum(self.causes[CAUSES.index(name)] for name in STALLS)

    @cached_property
    def dram_bytes(self) -> int | float:
        """Bytes to and from DRAM."""
        return exact_sum(value for (level, _, _), value in self.moved.items() if level == "dram")

    @cached_property
    def dram_read_bytes(self) -> int | float:
        """Bytes from DRAM."""
        return self._dram_bytes("read")

    @cached_property
    def dram_written_bytes(self) -> int | float:
        """Bytes to DRAM."""
        return self._dram_bytes("write")

    def _dram_bytes(self, direction: str) -> int | float:
        return exact_sum(
            value for (level, way, _), value in self.moved.items() if (level, way) == ("dram", direction)
        )


def batch_totals(batch: BatchedJobs, counts: Sequence[GroupCounts]) -> Totals:
    """Return the totals of a run from the counts of its groups."""
    ratios = np.empty(batch.jobs)
    causes = np.zeros(len(CAUSES), dtype=np.int64)
    busy = dict.fromkeys(UNITS, 0)
    moved: dict[Traffic, int | float] = {}
    for one in counts:
        ratios[one.group.places] = one.ratios
        causes += one.total_causes
        for unit, cycles in one.busy_cycles.items():
            if unit in busy:
                busy[unit] += cycles
        for key, value in one.total_traffic.items():
            moved[key] = moved.get(key, 0) + value
    return Totals(
        causes=tuple(causes.tolist()),
        busy_cycles=busy,
        moved=moved,
        macs=batch.macs,
        dense_macs=batch.dense_macs,
        activation_bytes=batch.activation_bytes,
        compression_ratio=mean_ratio(ratios[~np.isnan(ratios)].tolist()),
    )


def mean_ratio(ratios: Sequence[float]) -> float:
    """Return the mean of rows before over rows after concentration of GEMMs in order; 1 without any."""
    return math.fsum(ratios) / len(ratios) if ratios else 1.0
