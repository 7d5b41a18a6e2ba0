"""The sparse trace: what the algorithm and the simulator share. Needs numpy and pyarrow, never torch."""

from focal_traces.counts.trace import GemmTotals, TileCounts, Trace
from focal_traces.header.schema import (
    GEMMS,
    SCHEMA_VERSION,
    DecoderGeometry,
    SampleHeader,
    TokenGrid,
    TraceHeader,
)

__all__ = [
    "GEMMS",
    "SCHEMA_VERSION",
    "DecoderGeometry",
    "GemmTotals",
    "SampleHeader",
    "TileCounts",
    "TokenGrid",
    "Trace",
    "TraceHeader",
]
