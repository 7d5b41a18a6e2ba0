"""What a case must give, in numpy: outputs, similarity maps, means. Nothing here knows time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.arithmetic import array_sums, group_means, products, requantised, tree_sum, wrapped
from sim.cases import Case, Grid

STEPS = [(f, r, c) for f in (0, 1) for r in (0, 1) for c in (0, 1)]
"""Steps back of the eight places of a block; place 0 is the key itself. The order in which candidates are tried."""


@dataclass
class Expected:
    """Of each group: outputs (rows, columns, w), and of each of its columns compact indices and means."""

    outputs: list[NDArray[np.generic]]
    indices: list[list[NDArray[np.int64]]]
    means: list[list[NDArray[np.generic]]]

    def unique_outputs(self) -> list[list[int]]:
        """Return the vectors that gather found, by group and column."""
        return [[int(index.max()) + 1 for index in group] for group in self.indices]


def outputs_of(case: Case) -> list[NDArray[np.generic]]:
    """Return the sums of every tile, axes (rows, array columns, w): each slice is restored, then added."""
    found = []
    for tile in range(case.tiles):
        total = None
        for place in range(case.slices):
            sums = array_sums(case.vectors[tile][place], case.weights[place], is_float=case.machine.is_float)
            restored = sums[case.maps[tile][place]]
            total = restored if total is None else total + restored
            total = total if case.machine.is_float else wrapped(total)
        found.append(total)
    return found


def places_of(positions: NDArray[np.int64], grid: Grid) -> list[tuple[int, int, int] | None]:
    """Return (frame, row, column) of tokens; None off the grid."""
    found: list[tuple[int, int, int] | None] = []
    for position in positions.tolist():
        frame, inside = divmod(position, grid.frame_stride)
        row, column = divmod(inside, grid.row_stride)
        found.append((frame, row, column) if row < grid.rows and column < grid.columns else None)
    return found


def partners_of(
    positions: NDArray[np.int64], grid: Grid, window: int | None
) -> tuple[NDArray[np.int64], int]:
    """Return the row of each candidate, axes (rows, 8), -1 where there is none, and how many a window lost.

    Args:
        positions: Of the rows of one tile.
        grid: Layout of the tokens.
        window: Vectors of a layouter bank: what was overwritten is absent. None for no limit.
    """
    places = places_of(positions, grid)
    half = (grid.columns + 1) // 2
    slots: dict[tuple[int, int], tuple[int, int, int]] = {}
    row_of: dict[tuple[int, int, int], int] = {}
    partners = np.full((len(places), 8), -1, dtype=np.int64)
    lost = 0

    def slot(place: tuple[int, int, int]) -> tuple[int, int]:
        frame, row, column = place
        address = (row // 2) * half + column // 2
        return (frame % 2) * 4 + (row % 2) * 2 + column % 2, address % window if window else address

    for number, place in enumerate(places):
        if place is None:
            continue
        for q, (f, r, c) in enumerate(STEPS):
            other = (place[0] - f, place[1] - r, place[2] - c)
            if q == 0 or other not in row_of:
                continue
            if window is None or slots.get(slot(other)) == other:
                partners[number, q] = row_of[other]
            else:
                lost += 1
        slots[slot(place)] = place
        row_of[place] = number
    return partners, lost


def indices_of(vectors: NDArray[np.generic], partners: NDArray[np.int64], case: Case) -> NDArray[np.int64]:
    """Return the compact index of every row, as the matcher decides."""
    is_float = case.machine.is_float

    def dots(x: NDArray[np.generic], y: NDArray[np.generic]) -> NDArray[np.generic]:
        return tree_sum(products(x, y, is_float=is_float))

    norms = dots(vectors, vectors)
    rows = len(vectors)
    best_row = np.full(rows, -1, dtype=np.int64)
    best_square, best_norm = np.zeros_like(norms), np.ones_like(norms)
    for q in range(1, 8):
        here = np.nonzero(partners[:, q] >= 0)[0]
        there = partners[here, q]
        dot, norm = dots(vectors[here], vectors[there]), norms[there]
        square = dot * dot
        is_new = best_row[here] < 0
        is_better = (dot > 0) & (norm != 0) & (is_new | (square * best_norm[here] > best_square[here] * norm))
        here, there = here[is_better], there[is_better]
        best_row[here], best_square[here], best_norm[here] = there, square[is_better], norm[is_better]
    if is_float:
        limit = np.uint32(case.threshold_word()).view(np.float32) * norms * best_norm
        is_similar = (best_row >= 0) & (best_square > limit)
    else:
        is_similar = (best_row >= 0) & ((best_square << 16) > case.threshold_word() * (norms * best_norm))
    index = np.zeros(rows, dtype=np.int64)
    unique = 0
    for row in range(rows):
        if is_similar[row]:
            index[row] = index[best_row[row]]
        else:
            index[row], unique = unique, unique + 1
    return index


def expected(case: Case) -> Expected:
    """Return what the RTL must give for a case."""
    outputs = outputs_of(case)
    found = Expected([], [], [])
    bounds = np.cumsum([0, *case.rows])
    is_float = case.machine.is_float
    partners = {}
    for tile, first, columns in case.groups:
        block = outputs[tile][:, first : first + columns]
        found.outputs.append(block)
        if not case.has_gather:
            continue
        if tile not in partners:
            positions = case.positions[bounds[tile] : bounds[tile + 1]]
            partners[tile] = partners_of(positions, case.grid, case.machine.window)[0]
        indices, means = [], []
        for column in range(columns):
            vectors = requantised(block[:, column], case.shift, is_float=is_float)
            index = indices_of(vectors, partners[tile], case)
            indices.append(index)
            if case.mean_cycles:
                means.append(group_means(vectors, index, int(index.max()) + 1, is_float=is_float))
        found.indices.append(indices)
        found.means.append(means)
    return found
