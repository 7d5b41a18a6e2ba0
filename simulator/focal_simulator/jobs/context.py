"""What a lowering needs beside hardware and workload: the memory, and which corrections are on."""

from __future__ import annotations

from dataclasses import dataclass

from focal_simulator.jobs.memory import RATE_DENOMINATOR, MemoryRates

__all__ = ["CycleContext"]


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
