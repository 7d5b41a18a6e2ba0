"""What must hold in the counts of every trace; each violation is one sentence that names its place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import TraceError
from focal_traces.counts.trace import TileCounts, Trace
from focal_traces.header.schema import GEMMS, TraceHeader


def check_trace(trace: Trace, where: str) -> None:
    """Check header against counts and every sample's counts.

    Args:
        trace: What was read or is about to be written.
        where: File name for messages.

    Raises:
        TraceError: The first violation, naming sample, layer, GEMM and the expected value.
    """
    header = trace.header
    if len(trace.samples) != len(header.samples):
        raise TraceError(
            f"{where}: the header lists {len(header.samples)} samples but there are counts of "
            f"{len(trace.samples)}"
        )
    if header.median_index is not None and header.median_index >= len(header.samples):
        raise TraceError(
            f"{where}: median_index is {header.median_index}, expected below {len(header.samples)} samples"
        )
    for sample, counts in enumerate(trace.samples):
        check_counts(header, sample, counts, where)


def check_counts(header: TraceHeader, sample: int, counts: TileCounts, where: str) -> None:
    """Check one sample: coverage, 0 <= unique <= vectors <= rows <= m_tile, and tokens <= visual tokens.

    Raises:
        TraceError: The first violation.
    """
    check = _Check(header, sample, counts, where)
    check.coverage()
    check.order()
    check.values()


class _Check:
    """One pass over the counts of one sample."""

    def __init__(self, header: TraceHeader, sample: int, counts: TileCounts, where: str) -> None:
        self.header, self.counts = header, counts
        self.where = f"{where}: sample {sample} ({header.samples[sample].sample_id})"
        self.visual_tokens = header.samples[sample].visual_tokens
        self.slices = np.array([header.slices(gemm) for gemm in GEMMS], dtype=np.int64)

    def coverage(self) -> None:
        layers = self.header.geometry.layers
        key = self.counts.layer.astype(np.int64) * len(GEMMS) + self.counts.gemm
        expected = np.arange(layers * len(GEMMS))
        present = key[self.counts.group_starts] if len(key) else key
        if not np.array_equal(present, expected):
            missing = np.setdiff1d(expected, key)
            if len(missing):
                layer, gemm = divmod(int(missing[0]), len(GEMMS))
                raise TraceError(f"{self.where}: no counts of layer {layer}, {GEMMS[gemm]}")
            raise TraceError(
                f"{self.where}: counts must be sorted by layer and GEMM within 0..{layers - 1} and "
                f"{', '.join(GEMMS)}, and are not"
            )
        self.starts = self.counts.group_starts
        self.lengths = np.diff(np.append(self.starts, len(key)))
        self.width = np.tile(self.slices, layers)
        self.fail_where(
            self.lengths % self.width != 0,
            lambda place: (
                f"{self.lengths[place]} entries, expected a multiple of {self.width[place]} k-slices"
            ),
            grouped=True,
        )

    def order(self) -> None:
        inside = np.arange(len(self.counts)) - np.repeat(self.starts, self.lengths)
        width = np.repeat(self.width, self.lengths)
        self.fail_where(
            (self.counts.k_slice != inside % width) | (self.counts.m_tile != inside // width),
            lambda i: (
                f"entry {inside[i]} is m_tile {self.counts.m_tile[i]}, k_slice {self.counts.k_slice[i]}, "
                f"expected m_tile {inside[i] // width[i]}, k_slice {inside[i] % width[i]}"
            ),
        )
        is_first_slice = inside % width == 0
        first = np.maximum.accumulate(np.where(is_first_slice, np.arange(len(inside)), 0))
        self.tile_starts = np.flatnonzero(is_first_slice)
        self.fail_where(
            self.counts.rows != self.counts.rows[first],
            lambda i: (
                f"{self.tile(i)} has {self.counts.rows[i]} rows, expected {self.counts.rows[first[i]]} "
                "as in the tile's other slices"
            ),
        )

    def values(self) -> None:
        rows, vectors, unique = self.counts.rows, self.counts.vectors, self.counts.unique
        self.fail_where(
            unique < 0, lambda i: f"{self.tile(i)} has {unique[i]} unique vectors, expected at least 0"
        )
        self.fail_where(
            unique > vectors,
            lambda i: f"{self.tile(i)} has {unique[i]} unique of {vectors[i]} vectors; unique cannot be more",
        )
        self.fail_where(
            vectors > rows,
            lambda i: f"{self.tile(i)} has {vectors[i]} vectors in {rows[i]} rows; vectors cannot be more",
        )
        if self.header.m_tile:
            self.fail_where(
                rows > self.header.m_tile,
                lambda i: (
                    f"{self.tile(i)} has {rows[i]} rows, expected at most m_tile = {self.header.m_tile}"
                ),
            )
        tile_vectors = np.add.reduceat(vectors.astype(np.int64), self.tile_starts)
        short = np.zeros(len(rows), dtype=bool)
        short[self.tile_starts] = tile_vectors < rows[self.tile_starts]
        self.fail_where(
            short,
            lambda i: f"{self.tile(i)} has fewer vectors than rows; every row holds at least one vector",
        )
        tokens = np.add.reduceat(rows.astype(np.int64), self.starts) // self.width
        self.fail_where(
            tokens > self.visual_tokens,
            lambda place: f"{tokens[place]} tokens, expected at most visual_tokens = {self.visual_tokens}",
            grouped=True,
        )

    def tile(self, index: int) -> str:
        return f"m_tile {self.counts.m_tile[index]}, k_slice {self.counts.k_slice[index]}"

    def fail_where(
        self, is_wrong: NDArray[np.bool_], reason: Callable[[int], str], grouped: bool = False
    ) -> None:
        if not is_wrong.any():
            return
        index = int(np.argmax(is_wrong))
        entry = int(self.starts[index]) if grouped else index
        gemm = GEMMS[int(self.counts.gemm[entry])]
        raise TraceError(f"{self.where}, layer {self.counts.layer[entry]}, {gemm}: {reason(index)}")
