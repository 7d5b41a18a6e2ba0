"""The memory as the cycle engine sees it: bytes in, time and energy out, from memoised service curves.

Time comes from the curve of the access pattern, energy from counts x energy per command + background x time +
refresh rate x time; there is no energy-per-byte constant. `focal_simulator.dram.replay` gives the exact
answer request by request.
"""

from __future__ import annotations

from dataclasses import dataclass

from focal_common.errors import ConfigError
from focal_simulator.dram.curves import SAMPLE_REQUESTS, CurvePoint, ServiceCurve, pattern_curve
from focal_simulator.dram.energy import DramEnergy, energy_of
from focal_simulator.dram.patterns import AccessPattern
from focal_simulator.dram.specs import load_dram_spec
from focal_simulator.hardware.memory import DramSpec


@dataclass(frozen=True, slots=True)
class DramService:
    """Cost of one transfer.

    Attributes:
        cycles: Memory clocks from a cold start to the last completion.
        time_ns: The same in ns.
        mean_read_latency_ns: From acceptance to data, 0 without reads.
        activates: Row activations; a mean, need not be whole.
        energy: Energy by cause, over the time above.
    """

    cycles: float
    time_ns: float
    mean_read_latency_ns: float
    activates: float
    energy: DramEnergy


@dataclass(frozen=True, slots=True)
class SteadyState:
    """Rates of a pattern once queues are full and refreshes are averaged in."""

    bytes_per_ns: float
    mean_read_latency_ns: float
    dynamic_pj_per_byte: float
    background_mw: float


def _energy(spec: DramSpec, point: CurvePoint) -> DramEnergy:
    return energy_of(
        spec, point, max(0.0, spec.channels * spec.ranks * point.cycles - point.open_rank_cycles)
    )


def service_of_curve(spec: DramSpec, curve: ServiceCurve, num_requests: float) -> DramService:
    """Return the cost of ``num_requests`` on a measured curve."""
    point = curve.at(num_requests)
    clock_ns = spec.device.timing.clock_ns
    return DramService(
        cycles=point.cycles,
        time_ns=point.cycles * clock_ns,
        mean_read_latency_ns=point.read_latency_cycles * clock_ns,
        activates=point.activates,
        energy=_energy(spec, point),
    )


class DramModel:
    """A memory system that answers transfers from service curves.

    Args:
        spec: A memory system or the name of a preset.
        sample_requests: Requests replayed at most to measure one curve.

    Example:
        >>> memory = DramModel("ddr4_1ch_shipped")
        >>> round(memory.service(bytes_read=64, bytes_written=0).time_ns, 2)
        36.66
    """

    def __init__(self, spec: DramSpec | str, sample_requests: int = SAMPLE_REQUESTS) -> None:
        self.spec = load_dram_spec(spec) if isinstance(spec, str) else spec
        self.sample_requests = sample_requests
        self._sequential = AccessPattern.strided(self.spec.request_bytes)

    def service(
        self, bytes_read: int, bytes_written: int, pattern: AccessPattern | None = None
    ) -> DramService:
        """Return time and energy of a transfer that starts on an idle memory.

        Pass all the traffic of one phase in one call: a refresh falls on a long transfer, not on each of
        many short ones. Bytes are rounded up to whole requests.

        Args:
            bytes_read: Bytes read, >= 0.
            bytes_written: Bytes written, >= 0; spread evenly among the reads.
            pattern: How addresses run; sequential if None.

        Raises:
            ConfigError: A negative number of bytes.
        """
        for name, value in (("bytes_read", bytes_read), ("bytes_written", bytes_written)):
            if value < 0:
                raise ConfigError(f"dram service: {name} must not be negative, got {value}")
        traffic = self._sequential if pattern is None else pattern
        granule = traffic.granule_bytes or self.spec.request_bytes
        reads, writes = -(-bytes_read // granule), -(-bytes_written // granule)
        share = writes / (reads + writes) if reads + writes else 0.0
        return service_of_curve(self.spec, self.curve(traffic, share), reads + writes)

    def steady_state(self, pattern: AccessPattern | None = None, write_share: float = 0.0) -> SteadyState:
        """Return the long-run rates of a pattern: bandwidth, latency, energy per byte, background power."""
        traffic = self._sequential if pattern is None else pattern
        point = self.curve(traffic, write_share).steady()
        energy = _energy(self.spec, point)
        granule = traffic.granule_bytes or self.spec.request_bytes
        time_ns = point.cycles * self.spec.device.timing.clock_ns
        dynamic_pj = energy.activate_pj + energy.read_pj + energy.write_pj + energy.interface_pj
        return SteadyState(
            bytes_per_ns=granule / time_ns,
            mean_read_latency_ns=point.read_latency_cycles * self.spec.device.timing.clock_ns,
            dynamic_pj_per_byte=dynamic_pj / granule,
            background_mw=(energy.total_pj - dynamic_pj) / time_ns,
        )

    def curve(self, pattern: AccessPattern, write_share: float) -> ServiceCurve:
        """Return the service curve behind the answers, measured on first use and then remembered."""
        return pattern_curve(self.spec, pattern, write_share, self.sample_requests)
