"""What a group of jobs counts on several arrays that share one memory.

Model: N accelerators, each with its core and buffers, on one DRAM system. A GEMM is cut along one axis, on borders of
tiles: m-tiles, heads (equal copies), or array columns. Arrays that get a part each have an equal share of the
bandwidth, and the slowest part sets the time; of columns it is the first, whose tiles are the widest. Parts are dealt
out to N arrays, to 1, or to a power of two between; the cut that takes the fewest cycles is made, of equals the one for
fewer arrays, then the first in `CUTS`. Nothing travels between arrays but through DRAM.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from focal_simulator.arrays.cuts import (
    Numbers,
    chosen_gemms,
    column_arrays,
    column_fetches,
    column_part,
    dealt,
    tile_counts,
    tile_parts,
)
from focal_simulator.engine.cycle.packed import GroupCounts
from focal_simulator.hardware.specs import WHOLE_UNITS
from focal_simulator.jobs.jobs import CAUSES, JobShape, PlacedJob
from focal_simulator.kernels.pipeline import CAUSES as GEMM_CAUSES
from focal_simulator.kernels.pipeline import Pipeline
from focal_simulator.kernels.steady import packed_cycles
from focal_simulator.kernels.sums import SUMS

CUTS = ("one array", "m-tiles", "heads", "columns")

_COLUMNS = CUTS.index("columns")
_SFU = CAUSES.index("sfu")
_FETCHED, _MAPPED = SUMS.index("fetched_rows"), SUMS.index("mapped_rows")


class _Cut(NamedTuple):
    """One way of cutting every job.

    Attributes:
        kind: Place in `CUTS`.
        asked: Arrays that parts are dealt out to.
        busy: Arrays with a part, axis (jobs); 1 where the job cannot be cut so.
        causes: Cycles, axes (jobs, `CAUSES`), beside and before units included.
    """

    kind: int
    asked: int
    busy: Numbers
    causes: Numbers


class _Choice(NamedTuple):
    """The best cut of every job, each with axis (jobs) first; fields as of `_Cut`."""

    kind: Numbers
    asked: Numbers
    busy: Numbers
    causes: Numbers


def shared_machine(machine: Pipeline, arrays: int) -> Pipeline:
    """Return the constants of one of several arrays that stream at once: its share of the bandwidth."""
    return machine._replace(
        read_cycles_numerator=machine.read_cycles_numerator * arrays,
        write_cycles_numerator=machine.write_cycles_numerator * arrays,
    )


@dataclass(frozen=True, eq=False)
class SharedCounts(GroupCounts):
    """What a group counts on several arrays.

    Attributes:
        arrays: N, at least 2.
    """

    arrays: int = 2

    @cached_property
    def causes(self) -> Numbers:
        """Cycles of each job on the arrays, axes (jobs, `CAUSES`): those of the slowest part of its best cut."""
        return self.choice.causes

    @cached_property
    def choice(self) -> _Choice:
        """The cut of every job."""
        cuts = list(self._cuts())
        totals = np.stack([one.causes.sum(axis=1) for one in cuts])
        # A job that a cut leaves on one array is what the first cut says.
        totals[1:][np.stack([one.busy for one in cuts])[1:] == 1] = np.iinfo(np.int64).max
        best = totals.argmin(axis=0)
        jobs = np.arange(len(best))
        return _Choice(
            np.array([one.kind for one in cuts])[best],
            np.array([one.asked for one in cuts])[best],
            np.stack([one.busy for one in cuts])[best, jobs],
            np.stack([one.causes for one in cuts])[best, jobs],
        )

    @cached_property
    def shape(self) -> JobShape:
        """Sums over the tiles of one copy, all arrays together, each with axis (jobs)."""
        return self._shape(np.where(self.choice.kind == _COLUMNS, self.choice.asked, 1))

    def _shape(self, asked: Numbers) -> JobShape:
        """Return the sums of jobs cut between columns for so many arrays each; 1 for those cut otherwise."""
        machine, gemms, which = self.machine, self.group.gemms, self.group.which
        sums = self.group.sums(machine.array_columns, machine.columns_per_buffer).copy()
        for arrays in np.unique(asked[asked > 1]).tolist():
            fetched, mapped = column_fetches(gemms, arrays, machine.array_columns, machine.columns_per_buffer)
            sums[_FETCHED] = np.where(asked == arrays, fetched[which], sums[_FETCHED])
            sums[_MAPPED] = np.where(asked == arrays, mapped[which], sums[_MAPPED])
        return JobShape.counted(machine, list(sums))

    def placed(self) -> list[PlacedJob]:
        """Return the jobs with their cut."""
        kinds, busy = self.choice.kind.tolist(), self.choice.busy.tolist()
        return [
            replace(job, cut=CUTS[kinds[place]], arrays=busy[place])
            for place, job in enumerate(super().placed())
        ]

    def _cuts(self) -> Iterator[_Cut]:
        """Yield one array alone, then every cut for every number of arrays."""
        yield self._with_shares(0, 1, np.ones(len(self.group.which), dtype=np.int64), self.gemm_causes)
        for arrays in sorted({*(1 << power for power in range(1, self.arrays.bit_length())), self.arrays}):
            for kind, cut in enumerate((self._by_tiles, self._by_heads, self._by_columns), start=1):
                yield self._with_shares(kind, arrays, *cut(arrays))

    def _by_tiles(self, arrays: int) -> tuple[Numbers, Numbers]:
        """Return arrays with a part, axis (jobs), and cycles of the GEMMs alone, axes (jobs, `GEMM_CAUSES`)."""
        group = self.group
        _, busy = dealt(tile_counts(group.gemms), arrays)
        slowest = self._timed(busy, self._slowest_tiles)[group.which]
        return busy[group.which], slowest * group.copies[:, None] // group.divisors[:, None]

    def _by_heads(self, arrays: int) -> tuple[Numbers, Numbers]:
        """Return the same for equal copies dealt out whole."""
        most, busy = dealt(self.group.copies, arrays)
        return busy, self._timed(busy, self._heads) * most[:, None] // self.group.divisors[:, None]

    def _by_columns(self, arrays: int) -> tuple[Numbers, Numbers]:
        """Return the same for array columns."""
        group, machine = self.group, self.machine
        busy = column_arrays(group.gemms, arrays, machine.array_columns)

        def widest(chosen: Numbers, number: int) -> Numbers:
            part = column_part(group.gemms, chosen, arrays, machine.array_columns)
            cycles: Numbers = packed_cycles(shared_machine(machine, number), part)
            return cycles

        cycles = self._timed(busy, widest)[group.which]
        return busy[group.which], cycles * group.copies[:, None] // group.divisors[:, None]

    def _timed(self, busy: Numbers, time: Callable[[Numbers, int], Numbers]) -> Numbers:
        """Return cycles by cause of what is cut, timed together where equally many arrays are busy; 0 of the rest."""
        found = np.zeros((len(busy), len(GEMM_CAUSES)), dtype=np.int64)
        for number in np.unique(busy[busy > 1]).tolist():
            chosen = np.flatnonzero(busy == number)
            found[chosen] = time(chosen, number)
        return found

    def _slowest_tiles(self, chosen: Numbers, number: int) -> Numbers:
        parts = tile_parts(self.group.gemms, chosen, number)
        cycles = packed_cycles(shared_machine(self.machine, number), parts.gemms)
        by_part = cycles.reshape(len(chosen), parts.number, -1)
        slowest: Numbers = by_part[np.arange(len(chosen)), by_part.sum(axis=2).argmax(axis=1)]
        return slowest

    def _heads(self, jobs: Numbers, number: int) -> Numbers:
        gemms, places = np.unique(self.group.which[jobs], return_inverse=True)
        cycles: Numbers = packed_cycles(
            shared_machine(self.machine, number), chosen_gemms(self.group.gemms, gemms)
        )
        return cycles[places]

    def _with_shares(self, kind: int, asked: int, busy: Numbers, gemm: Numbers) -> _Cut:
        """Return a cut with the units beside and before the array, which share their work as the arrays do."""
        cause = np.full(len(busy), _SFU, dtype=np.int64)
        longest = np.zeros(len(busy), dtype=np.int64)
        for name, cycles in self._beside.items():
            share = cycles if name in WHOLE_UNITS else -(-cycles // busy)
            # Of units that work equally long, the last in the alphabet names the cause.
            is_longest = (share >= longest) & (share > 0)
            cause = np.where(is_longest, CAUSES.index(name), cause)
            longest = np.where(is_longest, share, longest)
        serial = -(-self.group.serial_cycles // busy[:, None])
        by_columns = np.full(len(busy), asked if kind == _COLUMNS else 1)
        causes = self.with_units(gemm, cause, longest, serial, lambda: self._shape(by_columns))
        return _Cut(kind, asked, busy, causes)

    @cached_property
    def _beside(self) -> Mapping[str, Numbers]:
        """Cycles of the units beside each GEMM by cause, in the order of the alphabet, axis (jobs)."""
        names = sorted({name for job in self.group.members for name in job.parallel_cycles})
        return {
            name: np.array([job.parallel_cycles.get(name, 0) for job in self.group.members], dtype=np.int64)
            for name in names
        }
