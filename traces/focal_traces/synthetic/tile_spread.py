"""How the unique vectors of a (layer, GEMM) are dealt to its tiles and slices in a calibrated stand-in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from focal_common.config import StrictModel

_GOLDEN_FRACTION = 0.6180339887498949
"""Fractional part of the golden ratio: its multiples modulo one fill [0, 1) evenly (Weyl sequence)."""


_QUIET_FROM, _QUIET_TO = 0.01, 0.08
"""Smallest and largest share of unique vectors in a quiet entry; assumed: 1 to 8 % of 1024 rows spans the
published minimum of 10 vectors."""

_TINY = float(np.finfo(np.float64).tiny)


class TileSpread(StrictModel):
    """How unique counts scatter around the mean of their (layer, GEMM): logistic in the logit of the share.

    Attributes:
        below: Spread of the logit towards smaller shares.
        above: Spread of the logit towards larger shares.
        largest_share: Upper end of the share of vectors that stay unique, in (0, 1].
        quiet_fraction: Fraction of entries in which nearly all vectors are similar, per unit of mean
            similarity of the (layer, GEMM); these channels make the lower tail of the published histogram.
    """

    below: float = Field(ge=0)
    above: float = Field(ge=0)
    largest_share: float = Field(gt=0, le=1)
    quiet_fraction: float = Field(ge=0, lt=1)


def scatter(
    unique: NDArray[np.int64],
    group: NDArray[np.int64],
    place: NDArray[np.int64],
    rows: NDArray[np.int64],
    spread: TileSpread,
) -> NDArray[np.int64]:
    """Deal the unique vectors of each group to its entries: the sum is exact, no entry exceeds its rows.

    Args:
        unique: L of each group, axis (groups,).
        group: Group of each entry, axis (entries,), ascending.
        place: Position of the entry inside its group.
        rows: Upper bound of each entry.
        spread: Shape of the distribution.
    """
    groups = len(unique)

    def summed(values: NDArray[Any]) -> NDArray[np.float64]:
        return np.bincount(group, values, groups).astype(np.float64)

    share = unique / summed(rows)
    quantile = np.mod((place + 1) * _GOLDEN_FRACTION, 1.0)
    limit = (spread.quiet_fraction * (1 - share))[group]
    is_quiet = quantile < limit
    # Spread the two parts of the quantile over (0, 1) each.
    within = np.where(is_quiet, quantile / np.maximum(limit, _TINY), (quantile - limit) / (1 - limit))
    quiet = np.where(is_quiet, rows * _QUIET_FROM * (_QUIET_TO / _QUIET_FROM) ** within, 0.0)
    room = np.where(is_quiet, 0, rows)
    left, available = unique - summed(quiet), summed(room)

    centre_share = np.clip(left / available, _TINY, 1)
    top = np.maximum(spread.largest_share, centre_share)
    with np.errstate(divide="ignore"):
        # A group in which every vector is unique has an infinite logit and therefore no spread.
        centre = np.log(centre_share) - np.log(top - centre_share)
        offset = np.log(within) - np.log1p(-within)
    offset *= np.where(offset < 0, spread.below, spread.above)
    wanted = room * top[group] / (1 + np.exp(-(centre[group] + offset)))
    # Move the entries of a group towards 0 or towards their rows, in proportion, until the sum is right.
    reached = summed(wanted)
    shrink = np.where(reached > left, left / np.maximum(reached, _TINY), 1.0)
    grow = np.where(reached < left, (available - left) / np.maximum(available - reached, _TINY), 1.0)
    wanted *= shrink[group]
    wanted = quiet + room - (room - wanted) * grow[group]
    # Rounding a running sum keeps every entry within one of its real value and the total of a group exact.
    running = np.cumsum(np.clip(wanted, 0, rows))
    last = np.flatnonzero(np.r_[group[1:] != group[:-1], True])
    exact = np.cumsum(unique)
    rounded = np.floor(running + (exact - running[last])[group] + 1e-6).astype(np.int64)
    rounded[last] = exact
    dealt: NDArray[np.int64] = np.minimum(np.diff(rounded, prepend=0), rows)
    return dealt
