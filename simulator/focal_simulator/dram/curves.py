"""Service curves: the cost of the first n requests of a pattern, measured once on the cycle model.

Model: exact at lengths 1, 2, 4, ... up to a limit, linear between, and beyond the limit linear with the
slope of the last doubling (the steady state); refreshes beyond the limit follow from time, as rate x time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import ConfigError
from focal_simulator.dram.patterns import AccessPattern, Requests, pattern_requests
from focal_simulator.dram.replay import replay
from focal_simulator.hardware.memory import DramSpec

SAMPLE_REQUESTS = 1 << 18
"""Default limit of a sample; eight HBM2 channels need about this many."""

SAMPLE_REFRESH_INTERVALS = 8
"""A sample grows until it spans this many refresh intervals, so that its slope holds refresh within 1 %."""


RANDOM_DRAWS, RANDOM_REQUESTS = 8, 1 << 15
"""A short random sample is the mean of this many draws (fewer where long): one alone strays by 5 %."""


class CurvePoint(NamedTuple):
    """Cost of the first requests of a pattern; counts are means and need not be whole."""

    cycles: float
    activates: float
    reads: float
    writes: float
    refreshes: float
    open_rank_cycles: float
    read_latency_cycles: float


REFRESHES = CurvePoint._fields.index("refreshes")


@dataclass(frozen=True, slots=True)
class ServiceCurve:
    """Cumulative costs at a few lengths.

    Attributes:
        lengths: (points,) int64, ascending, from 0.
        costs: (points, fields of `CurvePoint`) float64; the latency column is a sum over reads.
        read_requests: (points,) float64, reads among the first requests.
        refreshes_per_cycle: Over all channels and ranks.
    """

    lengths: NDArray[np.int64]
    costs: NDArray[np.float64]
    read_requests: NDArray[np.float64]
    refreshes_per_cycle: float

    def at(self, num_requests: float) -> CurvePoint:
        """Return the cost of ``num_requests`` from a cold start; 0 requests cost 0."""
        if num_requests > self.lengths[-1]:
            beyond = (num_requests - self.lengths[-1]) / (self.lengths[-1] - self.lengths[-2])
            row = self.costs[-1] + beyond * (self.costs[-1] - self.costs[-2])
            reads = self.read_requests[-1] + beyond * (self.read_requests[-1] - self.read_requests[-2])
            extra_cycles = row[0] - self.costs[-1, 0]
            row[REFRESHES] = self.costs[-1, REFRESHES] + extra_cycles * self.refreshes_per_cycle
        else:
            row = np.array([np.interp(num_requests, self.lengths, column) for column in self.costs.T])
            reads = np.interp(num_requests, self.lengths, self.read_requests)
        values = [float(value) for value in row]
        values[-1] = values[-1] / float(reads) if reads > 0 else 0.0
        return CurvePoint(*values)

    def steady(self) -> CurvePoint:
        """Return the cost of one further request in the steady state; the latency is the mean over reads."""
        span = float(self.lengths[-1] - self.lengths[-2])
        reads = float(self.read_requests[-1] - self.read_requests[-2])
        values = [float(value) / span for value in self.costs[-1] - self.costs[-2]]
        values[REFRESHES] = values[0] * self.refreshes_per_cycle
        values[-1] = values[-1] * span / reads if reads > 0 else 0.0
        return CurvePoint(*values)


def _measure(spec: DramSpec, requests: Requests, issue_width: int | None) -> NDArray[np.float64]:
    is_read = ~requests.is_write
    result = replay(
        spec, requests.addresses, requests.is_write, requests.earliest_cycles, issue_width=issue_width
    )
    counts = result.counts
    row = CurvePoint(
        cycles=result.cycles,
        activates=counts.activates,
        reads=counts.reads,
        writes=counts.writes,
        refreshes=counts.refreshes,
        open_rank_cycles=counts.open_rank_cycles,
        read_latency_cycles=int((result.done_cycles - result.accept_cycles)[is_read].sum()),
    )
    return np.array([*row, is_read.sum()], np.float64)


def _curve(
    spec: DramSpec,
    lengths: Iterable[int],
    draws_of: Callable[[int], Iterable[Requests]],
    issue_width: int | None,
    stop_cycles: float,
) -> ServiceCurve:
    known, rows = [0], [np.zeros(len(CurvePoint._fields) + 1)]
    for length in lengths:
        known.append(length)
        rows.append(np.mean([_measure(spec, draw, issue_width) for draw in draws_of(length)], axis=0))
        if rows[-1][0] >= stop_cycles:
            break
    table = np.array(rows)
    refreshes_per_cycle = spec.channels / (spec.device.timing.refresh_interval_cycles // spec.ranks)
    return ServiceCurve(np.array(known, np.int64), table[:, :-1], table[:, -1], refreshes_per_cycle)


def _draws(spec: DramSpec, pattern: AccessPattern, length: int, write_share: float) -> list[Requests]:
    num_draws = 1 if pattern.loops else min(RANDOM_DRAWS, max(1, RANDOM_REQUESTS // length))
    return [
        pattern_requests(replace(pattern, seed=pattern.seed + draw), length, write_share, spec.request_bytes)
        for draw in range(num_draws)
    ]


@lru_cache(maxsize=4096)
def _measured(spec_json: str, pattern: AccessPattern, share_64ths: int, max_requests: int) -> ServiceCurve:
    spec = DramSpec.model_validate_json(spec_json)
    lengths = [1 << power for power in range(max_requests.bit_length())]
    return _curve(
        spec,
        lengths,
        lambda length: _draws(spec, pattern, length, share_64ths / 64),
        None,
        SAMPLE_REFRESH_INTERVALS * spec.device.timing.refresh_interval_cycles,
    )


def pattern_curve(
    spec: DramSpec, pattern: AccessPattern, write_share: float, max_requests: int = SAMPLE_REQUESTS
) -> ServiceCurve:
    """Return the curve of a pattern, from the memo of this process if it was measured before.

    Args:
        spec: The memory system.
        pattern: The traffic.
        write_share: Part of the requests that are writes; rounded to 1/64 so that few curves are measured.
        max_requests: Requests replayed at most, even if the sample is then short of refreshes.

    Raises:
        ConfigError: ``write_share`` outside [0, 1] or ``max_requests`` below 2.
    """
    if not 0 <= write_share <= 1:
        raise ConfigError(f"service curve: write_share must be in [0, 1], got {write_share}")
    if max_requests < 2:
        raise ConfigError(f"service curve: max_requests must be at least 2, got {max_requests}")
    return _measured(spec.model_dump_json(), pattern, round(write_share * 64), max_requests)
