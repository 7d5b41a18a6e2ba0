"""Pareto fronts, exact hypervolumes in two and three dimensions, and the knee of a front."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import UnsupportedError
from focal_simulator.sweep.rows import Row
from focal_simulator.sweep.study import Objective

Losses = NDArray[np.float64]
"""Objective values with the sign that makes smaller better, axes (points, objectives)."""

_REFERENCE_MARGIN = 0.1
_BLOCK = 256
_MOST_VOLUMES = 300


def losses(rows: Sequence[Row], objectives: Sequence[Objective]) -> Losses:
    """Return objective values turned so that smaller is better, axes (rows, objectives)."""
    values = [[objective.sign * float(row[objective.metric]) for objective in objectives] for row in rows]
    return np.array(values, dtype=np.float64).reshape(len(rows), len(objectives))


def non_dominated(values: Losses) -> NDArray[np.bool_]:
    """Return which points no other point dominates, axis (points).

    A point dominates another if it is nowhere worse and somewhere better; equal points do not dominate each other.
    """
    # In this order a later point never dominates an earlier one, so blocks can be settled one by one.
    order = np.lexsort(values.T[::-1])
    keep = np.zeros(len(values), dtype=bool)
    front = values[:0]
    for start in range(0, len(order), _BLOCK):
        places = order[start : start + _BLOCK]
        places = places[~_dominated(values[places], front)]
        places = places[~_dominated(values[places], values[places])]
        keep[places] = True
        front = np.vstack([front, values[places]])
    return keep


def _dominated(points: Losses, by: Losses) -> NDArray[np.bool_]:
    """Return which points some point of the second set dominates, axis (points)."""
    worse = np.ones((len(points), len(by)), dtype=np.bool_)
    differs = np.zeros_like(worse)
    for axis in range(points.shape[1]):
        np.logical_and(worse, by[:, axis] <= points[:, axis, None], out=worse)
        np.logical_or(differs, by[:, axis] < points[:, axis, None], out=differs)
    return np.asarray((worse & differs).any(axis=1), dtype=np.bool_)


def hypervolume(values: Losses, reference: NDArray[np.float64]) -> float:
    """Return the volume that the points dominate below the reference point; exact.

    Args:
        values: Axes (points, objectives); one, two or three objectives.
        reference: Corner, axis (objectives); points that do not lie below it add nothing.

    Raises:
        UnsupportedError: More than three objectives.
    """
    if values.shape[1] > 3:
        raise UnsupportedError(f"hypervolume is exact for up to 3 objectives, got {values.shape[1]}")
    inside = values[np.all(values < reference, axis=1)]
    if not len(inside):
        return 0.0
    inside = inside[non_dominated(inside)]
    if values.shape[1] == 1:
        return float(reference[0] - inside.min())
    if values.shape[1] == 2:
        return _area(inside, reference)
    volume = 0.0
    inside = inside[np.argsort(inside[:, 2], kind="stable")]
    levels = np.append(inside[:, 2], reference[2])
    front = inside[:0, :2]
    for place, point in enumerate(inside[:, :2]):
        if not _dominated(point[None], front)[0]:
            front = np.vstack([front[~_dominated(front, point[None])], point])
        depth = levels[place + 1] - levels[place]
        if depth > 0:
            volume += depth * _area(front, reference[:2])
    return float(volume)


def _area(front: Losses, reference: NDArray[np.float64]) -> float:
    ordered = front[np.lexsort((front[:, 1], front[:, 0]))]
    ceilings = np.append(reference[1], ordered[:-1, 1])
    return float(np.sum((reference[0] - ordered[:, 0]) * np.maximum(ceilings - ordered[:, 1], 0.0)))


def reference_point(values: Losses) -> NDArray[np.float64]:
    """Return the worst value of each objective, moved out by a tenth of its range (at least a little).

    Hypervolumes of two studies may be compared under the same reference point only.
    """
    worst, best = values.max(axis=0), values.min(axis=0)
    spread = np.where(worst > best, worst - best, np.maximum(np.abs(worst), 1e-9))
    corner: NDArray[np.float64] = worst + _REFERENCE_MARGIN * spread
    return corner


def hypervolume_history(values: Losses, reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the hypervolume after each point, axis (points).

    Of more than `_MOST_VOLUMES` points it is measured at that many places and holds in between, which is never more
    than it is.
    """
    found = np.zeros(len(values))
    steps = np.linspace(0, len(values), min(len(values), _MOST_VOLUMES) + 1)[1:]
    places = np.unique(np.rint(steps).astype(int))
    front = values[:0]
    before, volume = 0, 0.0
    for place in places:
        found[before : place - 1] = volume
        new = values[before:place]
        if not np.all([(front <= point).all(axis=1).any() for point in new]):
            front = np.vstack([front, new])
            front = front[non_dominated(front)]
            volume = hypervolume(front, reference)
        found[place - 1] = volume
        before = place
    return found


def knee(front: Losses) -> int:
    """Return the place of the knee of a front.

    The point farthest below the plane through the best points of each objective, after scaling every objective of
    the front to 0..1 (I. Das, On characterizing the "knee" of the Pareto curve, Structural Optimization 18, 1999).
    Of equal points the first.
    """
    spread = front.max(axis=0) - front.min(axis=0)
    scaled = (front - front.min(axis=0)) / np.where(spread > 0, spread, 1.0)
    return int(np.argmin(scaled.sum(axis=1)))


class Front:
    """The front of a study.

    Args:
        rows: Feasible rows.
        objectives: Of the study.

    Attributes:
        rows: Rows on the front, sorted by the first objective, best first.
        knee: Row at the knee.
        reference: Corner for hypervolumes, axis (objectives), smaller-is-better values.
        values: Of all feasible rows, axes (rows, objectives), smaller is better.
        is_on_front: Axis (rows).
    """

    def __init__(self, rows: Sequence[Row], objectives: Sequence[Objective]) -> None:
        self.values = losses(rows, objectives)
        self.is_on_front = non_dominated(self.values)
        places = np.flatnonzero(self.is_on_front)
        places = places[np.lexsort(self.values[places].T[::-1])]
        self.rows: list[Row] = [rows[int(place)] for place in places]
        self.knee: Row = self.rows[knee(self.values[places])]
        self.reference = reference_point(self.values)

    @property
    def hypervolume(self) -> float | None:
        """Volume below `reference`; None for more than three objectives."""
        if self.values.shape[1] > 3:
            return None
        return hypervolume(self.values, self.reference)
