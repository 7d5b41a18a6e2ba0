"""What timed jobs sum to before anything is priced: whole numbers, so that the order of summing does not matter."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from focal_simulator.cycle.causes import CAUSES, STALLS
from focal_simulator.cycle.energy import busy_cycles
from focal_simulator.cycle.timing import JobTime
from focal_simulator.layer_table import Traffic

__all__ = ["Totals", "counted_bytes", "mean_ratio"]


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts of one run.

    Attributes:
        causes: Cycles by cause, in the order of `CAUSES`.
        busy: Cycles in which each kind of unit works.
        moved: Bytes by (level, direction, buffer).
        macs: Multiply-accumulates executed.
        dense_macs: Multiply-accumulates without compression.
        activation_bytes: Layer inputs that stay after compression.
        compression_ratio: Mean rows before over rows after concentration.
    """

    causes: tuple[int, ...]
    busy: Mapping[str, int]
    moved: Mapping[Traffic, int | float]
    macs: int
    dense_macs: int
    activation_bytes: int
    compression_ratio: float

    @property
    def cycles(self) -> int:
        """All cycles."""
        return sum(self.causes)

    @property
    def stalls(self) -> int:
        """Cycles that passed for reasons outside the array."""
        return sum(self.causes[CAUSES.index(name)] for name in STALLS)

    @classmethod
    def of(cls, times: list[JobTime], moved: Mapping[Traffic, int | float]) -> Totals:
        """Sum timed jobs.

        Args:
            times: Jobs in order.
            moved: Bytes by (level, direction, buffer).
        """
        return cls(
            causes=tuple(sum(int(time.causes[place]) for time in times) for place in range(len(CAUSES))),
            busy=busy_cycles(times),
            moved=moved,
            macs=sum(time.job.macs for time in times),
            dense_macs=sum(time.job.dense_macs for time in times),
            activation_bytes=sum(time.job.activation_bytes for time in times),
            compression_ratio=mean_ratio(
                [
                    time.job.shape.scattered_rows / time.job.shape.streamed_rows
                    for time in times
                    if time.job.part != "values" and time.job.shape.streamed_rows
                ]
            ),
        )


def counted_bytes(times: Iterable[JobTime]) -> dict[Traffic, int | float]:
    """Return the bytes of timed jobs by (level, direction, buffer)."""
    moved: dict[Traffic, int | float] = {}
    for time in times:
        for key, value in time.job.traffic.items():
            moved[key] = moved.get(key, 0) + value
    return moved


def mean_ratio(ratios: Sequence[float]) -> float:
    """Return the mean of rows before over rows after concentration of GEMMs in order; 1 without any."""
    return math.fsum(ratios) / len(ratios) if ratios else 1.0
