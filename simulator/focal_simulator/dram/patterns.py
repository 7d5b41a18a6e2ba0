"""Access patterns: a short description of traffic that yields any number of requests, always the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests in order.

    Attributes:
        addresses: (requests,) int64 byte addresses.
        is_write: (requests,) bool.
        earliest_cycles: (requests,) int64.
    """

    addresses: NDArray[np.int64]
    is_write: NDArray[np.bool_]
    earliest_cycles: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class AccessPattern:
    """Where requests go and how fast they come. Use the constructors; hashable, so it keys the curve memo.

    Attributes:
        loops: (count, stride_bytes) from the innermost loop outwards; the outermost repeats for ever with
            its own stride. Empty means uniformly random blocks.
        footprint_bytes: Offsets wrap here, per stream; for random traffic the region drawn from.
        base_address: Address of the first stream.
        read_streams: Streams visited in turn by reads (drawn at random if the pattern is random).
        write_streams: Streams visited in turn by writes; 0 sends writes where the reads go.
        stream_spacing_bytes: Distance between stream bases.
        interval_cycles: Mean memory clocks between requests; 0 means as fast as accepted (saturated).
        burst_requests: Requests that arrive together, every ``burst_requests x interval_cycles``.
        granule_bytes: Bytes per request; None means one burst of the memory.
        seed: Of random traffic.
    """

    loops: tuple[tuple[int, int], ...]
    footprint_bytes: int = 1 << 28
    base_address: int = 0
    read_streams: int = 1
    write_streams: int = 1
    stream_spacing_bytes: int = (1 << 28) + (1 << 16)
    interval_cycles: float = 0.0
    burst_requests: int = 1
    granule_bytes: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values no traffic can have."""
        for name, least in (
            *(("footprint_bytes", 1), ("read_streams", 1), ("burst_requests", 1)),
            *(("write_streams", 0), ("base_address", 0), ("stream_spacing_bytes", 0), ("interval_cycles", 0)),
        ):
            value = getattr(self, name)
            if not least <= value < 1 << 56:
                raise ConfigError(
                    f"access pattern: {name} must be at least {least} (and below 2^56), got {value}"
                )
        if self.granule_bytes is not None and self.granule_bytes < 1:
            raise ConfigError(f"access pattern: granule_bytes must be at least 1, got {self.granule_bytes}")
        for count, stride in self.loops:
            if count < 1 or stride < 0:
                raise ConfigError(
                    f"access pattern: loops need count >= 1 and stride >= 0, got ({count}, {stride})"
                )

    @classmethod
    def strided(cls, stride_bytes: int) -> AccessPattern:
        """One request every ``stride_bytes``; the stride of one burst is sequential traffic."""
        return cls(loops=((1 << 40, stride_bytes),))

    @classmethod
    def tiled(cls, rows: int, row_bytes: int, pitch_bytes: int, granule_bytes: int = 64) -> AccessPattern:
        """Tiles of ``rows`` x ``row_bytes`` out of a row-major matrix of ``pitch_bytes`` per row."""
        for name, value in (("rows", rows), ("row_bytes", row_bytes), ("granule_bytes", granule_bytes)):
            if value < 1:
                raise ConfigError(f"access pattern: {name} must be at least 1, got {value}")
        if row_bytes > pitch_bytes:
            raise ConfigError(
                f"access pattern: pitch_bytes must be at least row_bytes {row_bytes}, got {pitch_bytes}"
            )
        per_row = -(-row_bytes // granule_bytes)
        return cls(
            loops=(
                (per_row, granule_bytes),
                (rows, pitch_bytes),
                (max(1, pitch_bytes // row_bytes), row_bytes),
                (1 << 30, rows * pitch_bytes),
            ),
            granule_bytes=granule_bytes,
        )

    @classmethod
    def random(cls, footprint_bytes: int = 1 << 30, seed: int = 0) -> AccessPattern:
        """Uniformly random blocks of ``footprint_bytes``."""
        return cls(loops=(), footprint_bytes=footprint_bytes, seed=seed)


def _offsets(pattern: AccessPattern, index: NDArray[np.int64], granule: int) -> NDArray[np.int64]:
    offset = np.zeros_like(index)
    left = index
    for count, stride in pattern.loops[:-1]:
        offset += left % count * stride
        left = left // count
    return (offset + left * pattern.loops[-1][1]) % max(pattern.footprint_bytes, granule)


def pattern_requests(
    pattern: AccessPattern, num_requests: int, write_share: float, burst_bytes: int
) -> Requests:
    """Return the first ``num_requests`` requests of a pattern.

    Writes are spread evenly: request i is a write where floor((i + 1) s) exceeds floor(i s), s =
    ``write_share``. A longer list starts with the shorter one.

    Args:
        pattern: The traffic.
        num_requests: How many.
        write_share: Part of the requests that are writes, in [0, 1].
        burst_bytes: Bytes of one burst of the memory, used where the pattern sets no granule.
    """
    granule = pattern.granule_bytes or burst_bytes
    index = np.arange(num_requests, dtype=np.int64)
    written = np.floor(np.arange(num_requests + 1) * write_share + 1e-9).astype(np.int64)
    is_write = np.diff(written) > 0
    order = np.where(is_write, written[:-1], index - written[:-1])  # position among its own kind
    streams = np.where(is_write, pattern.write_streams, pattern.read_streams)
    if pattern.write_streams == 0:
        order, streams = index, np.full(num_requests, pattern.read_streams, np.int64)
    if pattern.loops:
        stream, position = order % streams, order // streams
        offset = _offsets(pattern, position, granule)
    else:
        draw = np.random.Generator(np.random.PCG64(pattern.seed)).random((num_requests, 2))
        stream = (draw[:, 0] * streams).astype(np.int64)
        offset = (draw[:, 1] * max(1, pattern.footprint_bytes // granule)).astype(np.int64) * granule
    if pattern.write_streams:
        stream = np.where(is_write, stream + pattern.read_streams, stream)
    burst = index // pattern.burst_requests * pattern.burst_requests
    return Requests(
        addresses=pattern.base_address + stream * pattern.stream_spacing_bytes + offset,
        is_write=is_write,
        earliest_cycles=np.floor(burst * pattern.interval_cycles).astype(np.int64),
    )
