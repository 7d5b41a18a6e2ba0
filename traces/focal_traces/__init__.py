"""The sparse trace: what the algorithm and the simulator share. Needs numpy and pyarrow, never torch."""

from focal_traces.counts import GemmTotals, TileCounts, Trace
from focal_traces.schema import (
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
