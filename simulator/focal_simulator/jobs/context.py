"""What a lowering needs beside hardware and workload: the memory, and which corrections are on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from focal_common.errors import ConfigError
from focal_simulator.dram.steady_rates import sequential_rates
from focal_simulator.hardware.memory import DramSpec
from focal_simulator.hardware.specs import PlainMemory

_BITS_PER_BYTE = 8
_MOST_CYCLES_PER_BYTE = 1024
RATE_DENOMINATOR = 1 << 20
"""Cycles per byte are kept as integers over this; a tile of a gigabyte stays far below 2^63."""


@dataclass(frozen=True, slots=True)
class MemoryRates:
    """Cost of streaming tiles.

    Model: tiles are stored one after the other in the order in which they are fetched, so traffic is sequential; a
    fetch and a write-back each run at the steady rate of their direction.

    Attributes:
        read_numerator: Array cycles per byte read, times `RATE_DENOMINATOR`; 0 for infinite bandwidth.
        write_numerator: Likewise for writes.
        read_pj_per_byte: Dynamic energy of commands.
        write_pj_per_byte: Likewise for writes.
        background_mw: Standby and refresh power.
    """

    read_numerator: int
    write_numerator: int
    read_pj_per_byte: float
    write_pj_per_byte: float
    background_mw: float


@lru_cache(maxsize=64)
def memory_rates(system: str | PlainMemory | DramSpec, clock_hz: float, arrays: int = 1) -> MemoryRates:
    """Return the rates of a DRAM preset, or of a memory that hardware holds; remembered by the process.

    Args:
        system: The memory.
        clock_hz: Of the arrays.
        arrays: That may share it; one alone gets the rates returned.

    Raises:
        ConfigError: Unknown preset, or a byte would take more than 1,024 cycles of an array with its share.
    """

    def numerator(bytes_per_ns: float) -> int:
        return max(1, round(clock_hz / (bytes_per_ns * 1e9) * RATE_DENOMINATOR))

    if isinstance(system, PlainMemory):
        rate = system.bandwidth.value / 1e9
        _check_rate(rate, clock_hz, arrays, "dram.bandwidth")
        pj_per_byte = system.energy.value * _BITS_PER_BYTE
        return MemoryRates(
            numerator(rate), numerator(rate), pj_per_byte, pj_per_byte, system.background.value
        )
    reads, writes = sequential_rates(system)
    name = system if isinstance(system, str) else system.name
    _check_rate(min(reads.bytes_per_ns, writes.bytes_per_ns), clock_hz, arrays, f"bandwidth of {name}")
    return MemoryRates(
        read_numerator=numerator(reads.bytes_per_ns),
        write_numerator=numerator(writes.bytes_per_ns),
        read_pj_per_byte=reads.dynamic_pj_per_byte,
        write_pj_per_byte=writes.dynamic_pj_per_byte,
        background_mw=(reads.background_mw + writes.background_mw) / 2,
    )


def _check_rate(bytes_per_ns: float, clock_hz: float, arrays: int, what: str) -> None:
    """Refuse a memory so slow beside the arrays that cycles of a tile may not fit into 64 bits."""
    least = clock_hz * arrays / _MOST_CYCLES_PER_BYTE
    if bytes_per_ns * 1e9 < least:
        among = f" for {arrays} arrays" if arrays > 1 else ""
        raise ConfigError(
            f"{what} is {bytes_per_ns * 1e9:g} B/s, expected at least {least:g} at {clock_hz:g} Hz{among}"
        )


@dataclass(frozen=True, slots=True)
class CycleContext:
    """Settings of one simulation.

    Attributes:
        rates: The DRAM system.
        corrections: Names that are on, see `focal_simulator.accelerators.corrections`.
    """

    rates: MemoryRates
    corrections: frozenset[str]

    def has(self, correction: str) -> bool:
        """Return whether a correction is on."""
        return correction in self.corrections

    @property
    def channel(self) -> dict[str, int]:
        """Return the DRAM fields of a `Pipeline`."""
        stalls = self.has("dram_stalls")
        return {
            "read_cycles_numerator": self.rates.read_numerator if stalls else 0,
            "write_cycles_numerator": self.rates.write_numerator if stalls else 0,
            "cycles_denominator": RATE_DENOMINATOR,
        }
