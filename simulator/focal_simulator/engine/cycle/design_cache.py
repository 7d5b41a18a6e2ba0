"""What designs share, remembered under the frozen values that decide it; see docs/design/0007-design-cache.md."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

from focal_simulator.engine.cycle.packed import BatchedJobs, GroupCounts, JobGroup, batched_jobs
from focal_simulator.engine.cycle.shared import SharedCounts
from focal_simulator.jobs.lowering import TileJobs, Units

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

_MOST_BATCHES = 16
_MOST_GROUPS = 1_000


class DesignCache:
    """Results of the two expensive steps of a run; a single run is a study of one design.

    Both keys are the values that the step computes from, so equal keys have equal results. The oldest entry goes
    first: neighbouring designs share most.
    """

    def __init__(self) -> None:
        self._batches: dict[TileJobs, BatchedJobs] = {}
        self._groups: dict[tuple[JobGroup, Units, int], GroupCounts] = {}

    def batch(self, tiles: TileJobs) -> BatchedJobs:
        """Return the packed jobs of tiles, by the tiles; raises as `TileJobs.jobs`."""
        if tiles not in self._batches and len(self._batches) >= _MOST_BATCHES:
            # Groups are found by identity: those of jobs that are packed again later would never be asked for.
            gone = set(self._batches.pop(next(iter(self._batches))).groups)
            self._groups = {key: counts for key, counts in self._groups.items() if key[0] not in gone}
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
