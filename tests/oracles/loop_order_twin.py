"""The slow twin of the loop-order formula: it walks the loops with one explicit buffer an operand and counts bytes.

It knows nothing of panels: a buffer holds the tile in use and, up to its size, the tiles used last; the one used
longest ago leaves first.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import product

import numpy as np

from focal_simulator.loop_orders import Kept, TiledGemm

Place = tuple[int, int]


class Buffer:
    """Tiles on chip."""

    def __init__(self, kept_bytes: int) -> None:
        self.kept_bytes = kept_bytes
        self.in_use: Place | None = None
        self.kept: OrderedDict[Place, int] = OrderedDict()

    def holds(self) -> set[Place]:
        return {*self.kept} | ({self.in_use} if self.in_use is not None else set())

    def use(self, place: Place, size: int) -> tuple[bool, set[Place]]:
        """Bring a tile in; return whether it was missing, and the tiles that left."""
        before = self.holds()
        self.in_use = place
        self.kept.pop(place, None)
        self.kept[place] = size
        while sum(self.kept.values()) > self.kept_bytes:
            self.kept.popitem(last=False)
        return place not in before, before - self.holds()


def walked_bytes(gemm: TiledGemm, order: str, kept: Kept) -> tuple[int, int, int, int]:
    """Return bytes of the input read, weights read, partial sums written before they are finished, and read back."""
    m_tiles, slices = gemm.input_bytes.shape
    extent = {"m": m_tiles, "n": gemm.weight_bytes.shape[1], "k": slices}
    inputs, weights, partials = (Buffer(int(size)) for size in kept)
    left = {
        (m, n): int((gemm.input_bytes[m] > 0).sum()) for m, n in product(range(m_tiles), range(extent["n"]))
    }
    started: set[Place] = set()
    read_inputs = read_weights = spilled = restored = 0
    for places in product(*(range(extent[loop]) for loop in order)):
        at = dict(zip(order, places, strict=True))
        m, n, k = at["m"], at["n"], at["k"]
        if not gemm.input_bytes[m, k]:
            continue
        if inputs.use((m, k), size := int(gemm.input_bytes[m, k]))[0]:
            read_inputs += size
        if weights.use((k, n), size := int(gemm.weight_bytes[k, n]))[0]:
            read_weights += size
        is_missing, gone = partials.use((m, n), size := int(gemm.partial_bytes[m, n]))
        spilled += sum(int(gemm.partial_bytes[place]) for place in gone if left[place])
        restored += size if is_missing and (m, n) in started else 0
        started.add((m, n))
        left[m, n] -= 1
    return read_inputs, read_weights, spilled, restored


def random_gemm(seed: int, *, has_empty_slices: bool) -> TiledGemm:
    """A GEMM of a few tiles of random sizes."""
    generator = np.random.default_rng(seed)
    m_tiles, slices, n_tiles = generator.integers(1, 5, size=3)
    lowest = 0 if has_empty_slices else 1
    rows, depths, widths = (generator.integers(1, 6, size=size) for size in (m_tiles, slices, n_tiles))
    return TiledGemm(
        input_bytes=generator.integers(lowest, 9, size=(m_tiles, slices)),
        weight_bytes=depths[:, None] * widths[None, :],
        partial_bytes=rows[:, None] * widths[None, :],
    )
