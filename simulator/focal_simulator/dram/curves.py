"""Service curves: what the first n requests of a pattern cost, measured on the cycle model once and remembered.

Model: exact at lengths 1, 2, 4, ... up to a limit, linear between, and beyond the limit linear with the slope of the
last doubling (the steady state). Refresh energy is not measured but follows from time, as rate x time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import ConfigError
from focal_simulator.dram.patterns import AccessPattern, Requests, pattern_requests
from focal_simulator.dram.replay import replay
from focal_simulator.dram.specs import DramSpec

__all__ = ["SAMPLE_REQUESTS", "CurvePoint", "ServiceCurve", "curve_of_requests", "pattern_curve"]

SAMPLE_REQUESTS = 8192
"""Default limit: a saturated DDR4 channel passes about ten refreshes in it."""


class CurvePoint(NamedTuple):
    """Cost of the first requests of a pattern; counts are means and need not be whole."""

    cycles: float
    activates: float
    reads: float
    writes: float
    open_rank_cycles: float
    read_latency_cycles: float


@dataclass(frozen=True, slots=True)
class ServiceCurve:
    """Cumulative costs at a few lengths.

    Attributes:
        lengths: (points,) int64, ascending, from 0.
        costs: (points, fields of `CurvePoint`) float64; the latency column is a sum over reads.
        read_requests: (points,) int64, reads among the first requests.
    """

    lengths: NDArray[np.int64]
    costs: NDArray[np.float64]
    read_requests: NDArray[np.int64]

    def at(self, num_requests: float) -> CurvePoint:
        """Return the cost of ``num_requests`` from a cold start; 0 requests cost 0."""
        if num_requests > self.lengths[-1]:
            beyond = (num_requests - self.lengths[-1]) / (self.lengths[-1] - self.lengths[-2])
            row = self.costs[-1] + beyond * (self.costs[-1] - self.costs[-2])
            reads = self.read_requests[-1] + beyond * (self.read_requests[-1] - self.read_requests[-2])
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
        values[-1] = values[-1] * span / reads if reads > 0 else 0.0
        return CurvePoint(*values)


def curve_of_requests(spec: DramSpec, requests: Requests, limit: int, issue_width: int | None = None) -> ServiceCurve:
    """Measure a curve on the first ``limit`` of the given requests.

    Raises:
        ConfigError: Fewer than one request, or a limit below 2.
    """
    limit = min(limit, requests.addresses.size)
    if limit < 1:
        raise ConfigError("service curve: needs at least one request")
    lengths = [0, *(1 << power for power in range(limit.bit_length()))]
    if lengths[-1] != limit:
        # keep the last step a doubling, so that the extrapolated slope spans half the sample
        lengths = [length for length in lengths if length < limit / 2] + [-(-limit // 2), limit]
    lengths = sorted(set(lengths))
    costs, reads = [(0.0,) * len(CurvePoint._fields)], [0]
    for length in lengths[1:]:
        part = slice(0, length)
        is_read = ~requests.is_write[part]
        result = replay(
            spec,
            requests.addresses[part],
            requests.is_write[part],
            requests.earliest_cycles[part],
            issue_width=issue_width,
        )
        counts = result.counts
        latency = (result.done_cycles - result.accept_cycles)[is_read].sum()
        costs.append(
            (
                *(float(result.cycles), float(counts.activates), float(counts.reads), float(counts.writes)),
                *(float(counts.open_rank_cycles), float(latency)),
            )
        )
        reads.append(int(is_read.sum()))
    return ServiceCurve(np.array(lengths, np.int64), np.array(costs), np.array(reads, np.int64))


@lru_cache(maxsize=4096)
def _measured(spec_json: str, pattern: AccessPattern, share_64ths: int, limit: int) -> ServiceCurve:
    spec = DramSpec.model_validate_json(spec_json)
    return curve_of_requests(spec, pattern_requests(pattern, limit, share_64ths / 64, spec.request_bytes), limit)


def pattern_curve(
    spec: DramSpec, pattern: AccessPattern, write_share: float, limit: int = SAMPLE_REQUESTS
) -> ServiceCurve:
    """Return the curve of a pattern, from the memo of this process if it was measured before.

    Args:
        spec: The memory system.
        pattern: The traffic.
        write_share: Part of the requests that are writes; rounded to 1/64 so that few curves are measured.
        limit: Requests replayed at most.

    Raises:
        ConfigError: ``write_share`` outside [0, 1] or ``limit`` below 2.
    """
    if not 0 <= write_share <= 1:
        raise ConfigError(f"service curve: write_share must be in [0, 1], got {write_share}")
    if limit < 2:
        raise ConfigError(f"service curve: limit must be at least 2 requests, got {limit}")
    return _measured(spec.model_dump_json(), pattern, round(write_share * 64), limit)
