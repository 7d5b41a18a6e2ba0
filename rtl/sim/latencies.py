"""Where RTL and engine differ in time: one table of latencies, and nothing else (`rtl/check.py` proves it).

`Latencies.of_rtl` holds what the hardware takes. Its figures are the values for the engine's fields.
"""

from __future__ import annotations

from dataclasses import dataclass

from sim.cases import Machine


@dataclass(frozen=True)
class Latencies:
    """Cycles of the array and what the units wait for.

    Attributes:
        reload_cycles: From the end of a stream until shifted weights may enter.
        first_output_cycles: From a row's entry until scatter can read its sums.
        last_output_cycles: From the end of a stream until its last sums are stored.
        scatter_waits_for_vectors: Whether a row is restored only once its unique vector is there, and through which
        ports.
        wavefront_lead_cycles: From the start of a load that follows the wavefront to the earliest stream; None: the
        whole load.
        has_means: Whether the group mean takes the cycles that a case gives.
        has_latency: Whether data arrive later than they leave the DRAM channel.
    """

    reload_cycles: int
    first_output_cycles: int
    last_output_cycles: int
    scatter_waits_for_vectors: bool
    wavefront_lead_cycles: int | None
    has_means: bool
    has_latency: bool

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
            scatter_waits_for_vectors=True,
            wavefront_lead_cycles=1,
            has_means=True,
            has_latency=True,
        )

    @classmethod
    def of_engine(cls, machine: Machine) -> Latencies:
        """Return what the engine takes for all of them: SCALE-Sim's h + w - 3."""
        skew = machine.rows + machine.columns - 3
        return cls(skew, skew, skew, False, None, False, False)
