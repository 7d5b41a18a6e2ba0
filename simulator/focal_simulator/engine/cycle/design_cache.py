"""What designs share, remembered under the frozen values that decide it; see docs/design/0007-design-cache.md."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

from focal_simulator.engine.cycle.packed import BatchedJobs, GroupCounts, JobGroup, batched_jobs
from focal_simulator.engine.cycle.shared import SharedCounts
from focal_simulator.engine.cycle.totals import Totals, batch_totals
from focal_simulator.jobs.lowering import Lowering, TileJobs, Units

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

_MOST_BATCHES = 16
_MOST_GROUPS = 1_000
_MOST_RUNS = 64

Run = tuple[tuple[GroupCounts, ...], Totals]
"""Counts of each group of jobs, and what they sum to."""


class DesignCache:
    """What is counted in a run, before anything is priced; a single run is a study of one design.

    Every key is the value that a step computes from, so equal keys have equal results. The oldest entry goes first:
    neighbouring designs share most.
    """

    def __init__(self) -> None:
        self._batches: dict[TileJobs, BatchedJobs] = {}
        self._groups: dict[tuple[JobGroup, Units, int], GroupCounts] = {}
        self._runs: dict[tuple[Lowering, int], Run] = {}

    def run(self, lowering: Lowering, arrays: int = 1) -> Run:
        """Return what a lowering counts on so many arrays, by both; raises as `TileJobs.jobs`."""

        def make() -> Run:
            batch = self.batch(lowering.tiles)
            counts = tuple(self.counts(one, lowering.array.units(one.role), arrays) for one in batch.groups)
            return counts, batch_totals(batch, counts)

        return _known(self._runs, _MOST_RUNS, (lowering, arrays), make)

    def batch(self, tiles: TileJobs) -> BatchedJobs:
        """Return the packed jobs of tiles, by the tiles; raises as `TileJobs.jobs`."""
        if tiles not in self._batches and len(self._batches) >= _MOST_BATCHES:
            # Groups are found by identity: those of jobs that are packed again later would never be asked for.
            gone = set(self._batches.pop(next(iter(self._batches))).groups)
            self._groups = {key: counts for key, counts in self._groups.items() if key[0] not in gone}
            self._runs.clear()
        return _known(self._batches, _MOST_BATCHES, tiles, lambda: batched_jobs(tiles.jobs()))

    def counts(self, group: JobGroup, units: Units, arrays: int = 1) -> GroupCounts:
        """Return the counts of a group on units, or on several arrays of them, by all three."""

        def make() -> GroupCounts:
            return GroupCounts(group, units) if arrays == 1 else SharedCounts(group, units, arrays)

        return _known(self._groups, _MOST_GROUPS, (group, units, arrays), make)


def _known(table: dict[K, T], most: int, key: K, make: Callable[[], T]) -> T:
    found = table.get(key)
    if found is None:
        found = make()
        if len(table) >= most:
            del table[next(iter(table))]
        table[key] = found
    return found
