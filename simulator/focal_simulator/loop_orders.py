"""DRAM bytes of a tiled GEMM in closed form, for every order of its three outer loops. Nothing here is timed.

An operand does not depend on one of the loops over m-tiles, n-tiles and k-slices; each turn of that loop uses the
same tiles again. The tiles used in one turn are a *panel*. A panel that can be kept is fetched once, otherwise
its tiles are fetched for every use. Partial sums that cannot be kept are written to DRAM and read back.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["LOOP_ORDERS", "PUBLISHED_ORDER", "Kept", "Moved", "TiledGemm", "moved_bytes"]

Bytes = NDArray[np.int64]

LOOP_ORDERS: tuple[str, ...] = tuple("".join(order) for order in permutations("mnk"))
"""From the outermost loop; ``mnk`` runs over k-slices inside n-tiles inside m-tiles."""

PUBLISHED_ORDER = "mnk"
"""Focus, HPCA 2026, sec. VI-C: output stationary outside."""


@dataclass(frozen=True)
class TiledGemm:
    """Sizes of the tiles of one GEMM, int64 bytes. A slice without input rows in an m-tile is skipped there.

    Attributes:
        input_bytes: Axes (m_tiles, slices).
        weight_bytes: Axes (slices, n_tiles).
        partial_bytes: Partial sums, axes (m_tiles, n_tiles).
    """

    input_bytes: Bytes
    weight_bytes: Bytes
    partial_bytes: Bytes


class Kept(NamedTuple):
    """Bytes that buffers keep beside the tile in use and the tile on its way; 0 for the published buffers.

    Attributes:
        input_bytes: Of the input; an integer, or an array with one value for each buffer size to compare.
        weight_bytes: Of the weights.
        partial_bytes: Of partial sums.
    """

    input_bytes: int | Bytes = 0
    weight_bytes: int | Bytes = 0
    partial_bytes: int | Bytes = 0


class Moved(NamedTuple):
    """DRAM bytes, int64, in the shape of `Kept`; finished outputs leave once in every order and are not counted.

    Attributes:
        input_bytes: Read.
        weight_bytes: Read.
        spilled_bytes: Partial sums written, and as many bytes read back.
    """

    input_bytes: Bytes
    weight_bytes: Bytes
    spilled_bytes: Bytes

    @property
    def read_bytes(self) -> Bytes:
        """All reads."""
        return self.input_bytes + self.weight_bytes + self.spilled_bytes

    @property
    def total_bytes(self) -> Bytes:
        """Reads and writes."""
        return self.read_bytes + self.spilled_bytes


def moved_bytes(gemm: TiledGemm, order: str, kept: Kept = Kept()) -> Moved:  # noqa: B008  (immutable)
    """Return the DRAM bytes of a GEMM.

    A panel of a single tile is the tile in use and never fetched again.

    Args:
        gemm: Its tiles.
        order: One of `LOOP_ORDERS`.
        kept: What the buffers keep.

    Raises:
        ValueError: Not an order of the three loops.
    """
    if order not in LOOP_ORDERS:
        raise ValueError(f"loop order is '{order}', expected one of {', '.join(LOOP_ORDERS)}")
    is_live = gemm.input_bytes > 0
    n_tiles = gemm.weight_bytes.shape[1]
    weight_uses, partial_uses = is_live.sum(axis=0)[:, None], is_live.sum(axis=1)[:, None]
    partial = _fetched(gemm.partial_bytes, partial_uses, order, "mn", kept.partial_bytes)
    return Moved(
        input_bytes=_fetched(gemm.input_bytes, is_live * n_tiles, order, "mk", kept.input_bytes),
        weight_bytes=_fetched(gemm.weight_bytes, weight_uses, order, "kn", kept.weight_bytes),
        # The last time a partial sum leaves it is finished.
        spilled_bytes=partial - (gemm.partial_bytes * (partial_uses > 0)).sum(),
    )


def _fetched(
    tiles: Bytes, uses: NDArray[np.integer], order: str, axes: str, kept: int | Bytes
) -> NDArray[np.int64]:
    """Return the bytes by which an operand enters the chip.

    Args:
        tiles: Size of each tile, axes as the two loops named by ``axes``.
        uses: How many turns of the third loop use a tile; broadcasts to ``tiles``.
        order: Of the loops.
        axes: The loops that the operand depends on.
        kept: Bytes that are kept of a panel.
    """
    (reuse,) = set(order) - set(axes)
    inside = tuple(place for place, axis in enumerate(axes) if order.index(axis) > order.index(reuse))
    once, every = tiles * (uses > 0), tiles * uses
    # Tile in use: no other tile comes between its uses.
    is_single = (once > 0).sum(axis=inside).ravel() <= 1
    panels = once.sum(axis=inside).ravel()
    is_kept = is_single | (panels <= np.asarray(kept)[..., None])
    found: Bytes = np.where(is_kept, panels, every.sum(axis=inside).ravel()).sum(axis=-1)
    return found
