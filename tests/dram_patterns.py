"""The synthetic reference traces, described as access patterns."""

from __future__ import annotations

from dataclasses import replace

from focal_simulator.dram import AccessPattern

_BASE = 0x4000000
_SEQUENTIAL = replace(AccessPattern.strided(64), granule_bytes=64, base_address=_BASE)
_REUSE = AccessPattern(
    loops=(),
    base_address=_BASE,
    footprint_bytes=96 * 64,
    read_streams=3,
    write_streams=0,
    stream_spacing_bytes=0x1000000,
    granule_bytes=64,
)
PATTERNS: dict[str, AccessPattern] = {
    "bursty_seq_read": replace(_SEQUENTIAL, burst_requests=256, interval_cycles=6000 / 256),
    "paced_seq_read_40": replace(_SEQUENTIAL, interval_cycles=40),
    "paced_seq_read_6p5": replace(_SEQUENTIAL, interval_cycles=6.5),
    "random_read": replace(AccessPattern.random(1 << 32), granule_bytes=64),
    "reuse_paced16_mixed": replace(_REUSE, interval_cycles=16),
    "reuse_read_sat": _REUSE,
    "seq_read": _SEQUENTIAL,
    "seq_write": replace(
        _SEQUENTIAL, read_streams=1, base_address=_BASE - (1 << 26), stream_spacing_bytes=1 << 26
    ),
    "stream_2r1w": replace(
        _SEQUENTIAL, base_address=0x10000000, read_streams=2, stream_spacing_bytes=0x14010000
    ),
    "stride4k_read": replace(AccessPattern.strided(4096), granule_bytes=64, base_address=_BASE),
    "tile_read_32x64_fp16": replace(AccessPattern.tiled(32, 128, 8192), base_address=0x20000000),
}
"""Trace name to pattern; the traffic differs from the trace only where the trace is random."""
