"""Parts of GEMMs for several arrays, cut on borders of m-tiles or of array columns.

A part is a GEMM like any other, so the kernel times it. Heads need no function here: equal copies are dealt out whole.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from focal_simulator.kernels.steady import PackedGemms

Numbers = NDArray[np.int64]


class TileParts(NamedTuple):
    """GEMMs cut between m-tiles.

    Attributes:
        gemms: The parts, ``number`` of them for each GEMM, one GEMM after the other.
        number: Parts of each GEMM.
    """

    gemms: PackedGemms
    number: int


def dealt(amount: Numbers, arrays: int) -> tuple[Numbers, Numbers]:
    """Return how much the busiest array gets of things dealt out whole, and how many arrays get any.

    No more arrays than that need be woken: what fewer do in the same time leaves each of them more bandwidth.

    Args:
        amount: Things to deal out, such as m-tiles; 0 or more.
        arrays: N.
    """
    most = np.maximum(-(-amount // arrays), 1)
    return most, np.maximum(-(-amount // most), 1)


def tile_counts(gemms: PackedGemms) -> Numbers:
    """Return the m-tiles of each GEMM that can be dealt out, each copy of an entry for itself."""
    return _between(gemms.copies, gemms.first)


def tile_parts(gemms: PackedGemms, chosen: Numbers, number: int) -> TileParts:
    """Return chosen GEMMs cut into ``number`` parts each.

    Tiles that follow one another in a pipeline stay together. Tiles that each start on an empty machine are dealt out
    in turn, the longest first: those of causal attention, where later ones are longer and a diagonal lies in steps.

    Args:
        gemms: Where they are.
        chosen: Places of GEMMs whose tiles, dealt out, reach ``number`` arrays.
        number: Parts of each.
    """
    entries, copies, lengths = [], [], []
    work = _between(gemms.unique, gemms.offsets) * gemms.outputs
    for gemm in chosen.tolist():
        tiles = np.arange(gemms.first[gemm], gemms.first[gemm + 1])
        most = -(-len(tiles) // number)
        longest = tiles[np.argsort(-work[tiles], kind="stable")]
        turns = np.repeat(longest, gemms.copies[longest])
        for part in range(number):
            if gemms.is_independent[gemm]:
                held, times = np.unique(turns[part::number], return_counts=True)
            else:
                held = tiles[part * most : (part + 1) * most]
                times = gemms.copies[held]
            entries.append(held)
            copies.append(times)
            lengths.append(len(held))
    is_independent = np.repeat(gemms.is_independent[chosen], number)
    every = np.concatenate(entries)
    parts = _taken(gemms, every, np.array(lengths), is_independent, gemms.outputs[every])
    return TileParts(parts._replace(copies=np.concatenate(copies).astype(np.int64)), number)


def column_counts(gemms: PackedGemms, array_columns: int) -> Numbers:
    """Return the array columns of each m-tile, axis (entries)."""
    return -(-gemms.outputs // array_columns)


def column_arrays(gemms: PackedGemms, arrays: int, array_columns: int) -> Numbers:
    """Return how many arrays get columns of some m-tile of each GEMM, axis (GEMMs)."""
    _, busy = dealt(column_counts(gemms, array_columns), arrays)
    return _largest(busy, gemms.first)


def column_part(gemms: PackedGemms, chosen: Numbers, arrays: int, array_columns: int) -> PackedGemms:
    """Return the first part of chosen GEMMs cut between array columns: no other part has a wider tile."""
    lengths = np.diff(gemms.first)[chosen]
    every = np.concatenate([np.arange(gemms.first[gemm], gemms.first[gemm + 1]) for gemm in chosen.tolist()])
    most, _ = dealt(column_counts(gemms, array_columns)[every], arrays)
    outputs = np.minimum(gemms.outputs[every], most * array_columns)
    return _taken(gemms, every, lengths, gemms.is_independent[chosen], outputs)


def chosen_gemms(gemms: PackedGemms, chosen: Numbers) -> PackedGemms:
    """Return some GEMMs, whole."""
    every = np.concatenate([np.arange(gemms.first[gemm], gemms.first[gemm + 1]) for gemm in chosen.tolist()])
    return _taken(
        gemms, every, np.diff(gemms.first)[chosen], gemms.is_independent[chosen], gemms.outputs[every]
    )


def column_fetches(
    gemms: PackedGemms, arrays: int, array_columns: int, columns_per_buffer: int
) -> tuple[Numbers, Numbers]:
    """Return the rows fetched and the rows mapped by all parts of GEMMs cut between array columns, axis (GEMMs).

    Each part fetches the inputs of an m-tile once for each of its own n-buffer tiles; of whole GEMMs,
    `focal_simulator.kernels.sums` counts the same. Everything else does not change by the cut.
    """
    columns = column_counts(gemms, array_columns)
    most, _ = dealt(columns, arrays)
    whole, rest = columns // most, columns % most
    buffers = (whole * -(-most // columns_per_buffer) + -(-rest // columns_per_buffer)) * gemms.copies
    streamed = _between(gemms.unique, gemms.offsets)
    live = np.diff(gemms.offsets)
    return (
        _between(streamed * buffers, gemms.first),
        _between(gemms.rows * live * buffers, gemms.first),
    )


def _taken(
    gemms: PackedGemms, entries: Numbers, lengths: Numbers, is_independent: Numbers, outputs: Numbers
) -> PackedGemms:
    live = np.diff(gemms.offsets)[entries]
    offsets = np.concatenate([[0], np.cumsum(live)])
    places = np.repeat(gemms.offsets[entries] - offsets[:-1], live) + np.arange(offsets[-1])
    return PackedGemms(
        first=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        is_independent=is_independent,
        rows=gemms.rows[entries],
        output_rows=gemms.output_rows[entries],
        outputs=outputs,
        copies=gemms.copies[entries],
        unique=gemms.unique[places],
        offsets=offsets.astype(np.int64),
    )


def _between(values: Numbers, edges: Numbers) -> Numbers:
    """Return the sum of the values between each pair of neighbouring edges; 0 where they are equal."""
    sums = np.concatenate([[0], np.cumsum(values)])
    found: Numbers = sums[edges[1:]] - sums[edges[:-1]]
    return found


def _largest(values: Numbers, edges: Numbers) -> Numbers:
    found = np.zeros(len(edges) - 1, dtype=np.int64)
    for place, (start, stop) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)):
        found[place] = values[start:stop].max(initial=0)
    return found
