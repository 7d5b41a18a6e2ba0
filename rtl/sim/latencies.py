"""What takes how long in the RTL, and which of it the engine takes by counts alone (`rtl/check.py` proves both)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sim.cases import Machine


@dataclass(frozen=True)
class Latencies:
    """Cycles of the array and what the units wait for.

    Attributes:
        reload_cycles: From the end of a stream until shifted weights may enter.
        first_output_cycles: From a row's entry until scatter can read its sums.
        last_output_cycles: From the end of a stream until its last sums are stored.
        wavefront_lead_cycles: From the start of a load that follows the wavefront to the earliest stream.
        gather_cycles: Of a row and array column.
        knows_maps: Whether a row is restored only once its unique vector is there, neighbours that share a vector
            share its read, and sums of a first slice are not read; else a fold takes what its counts say.
        has_latency: Whether data arrive later than they leave the DRAM channel.
    """

    reload_cycles: int
    first_output_cycles: int
    last_output_cycles: int
    wavefront_lead_cycles: int
    gather_cycles: int
    knows_maps: bool = True
    has_latency: bool = True

    @classmethod
    def of_rtl(cls, machine: Machine) -> Latencies:
        """Return those of the RTL."""
        passes = machine.rows + machine.columns
        return cls(
            # The last row meets the last weight h + w - 2 cycles after it entered, and a weight may be replaced in
            # the same cycle.
            reload_cycles=passes - 3,
            # h + w - 1 registers, and the concentrate half, which can be read a cycle after it was written.
            first_output_cycles=passes,
            last_output_cycles=passes - 1,
            wavefront_lead_cycles=1,
            gather_cycles=8,
        )

    @classmethod
    def of_engine(cls, machine: Machine) -> Latencies:
        """Return those of the engine: the RTL's, without what only maps tell and without latency of DRAM."""
        return replace(cls.of_rtl(machine), knows_maps=False, has_latency=False)
