"""Totals of a run from job groups: each group timed on its machine, equal groups on equal machines once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focal_simulator.cycle.jobs import GemmJob, Movement
from focal_simulator.cycle.packed import JobGroup, PlacedGroup, packed_groups, summed_traffic
from focal_simulator.cycle.totals import Totals, mean_ratio
from focal_simulator.kernels.pipeline import Pipeline
from focal_simulator.layer_table import Traffic

__all__ = ["GroupLowering", "JobGroups", "job_groups", "placed_totals"]

_MOST_KNOWN = 2_000
_UNITS = ("array", "scatter", "gather", "sec", "sfu", "preprocess")


@dataclass(frozen=True, slots=True)
class GroupLowering:
    """How an accelerator places the groups of a workload.

    Attributes:
        groups: What follows from the tiles alone.
        machine_of: Constants for a role.
        traffic_of: Bytes of a placed group.
        key: What ``traffic_of`` depends on beside the machine.
    """

    groups: JobGroups
    machine_of: Callable[[Any], Pipeline]
    traffic_of: Callable[[Movement], Mapping[Traffic, Any]]
    key: Hashable


@dataclass(frozen=True, slots=True)
class _Counted:
    causes: NDArray[np.int64]
    busy: Mapping[str, int]
    moved: Mapping[Traffic, int]
    ratios: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class JobGroups:
    """All groups of a run, with what was counted for them before.

    Attributes:
        groups: By role.
        jobs: Number of jobs.
    """

    groups: Sequence[JobGroup]
    jobs: int
    _known: dict[Hashable, _Counted] = field(default_factory=dict)

    def counted(self, place: int, lowering: GroupLowering) -> _Counted:
        """Return the counts of one group."""
        group = self.groups[place]
        machine = lowering.machine_of(group.role)
        key = (place, machine, lowering.key)
        found = self._known.get(key)
        if found is None:
            placed = PlacedGroup(group, machine)
            causes = placed.causes()
            moved = summed_traffic(lowering.traffic_of(placed))
            found = _Counted(causes, placed.busy(int(causes[0])), moved, placed.ratios())
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[key] = found
        return found


def job_groups(jobs: Sequence[GemmJob]) -> JobGroups:
    """Pack jobs by role; see `packed_groups`."""
    return JobGroups(packed_groups(jobs), len(jobs))


def placed_totals(lowering: GroupLowering) -> Totals:
    """Return the totals of a run."""
    groups = lowering.groups
    counted = [groups.counted(place, lowering) for place in range(len(groups.groups))]
    ratios = np.empty(groups.jobs)
    busy = dict.fromkeys(_UNITS, 0)
    moved: dict[Traffic, int | float] = {}
    for group, part in zip(groups.groups, counted, strict=True):
        ratios[group.places] = part.ratios
        for unit, cycles in part.busy.items():
            busy[unit] += cycles
        for key, value in part.moved.items():
            moved[key] = moved.get(key, 0) + value
    causes = sum((part.causes for part in counted), start=np.zeros_like(counted[0].causes))
    return Totals(
        causes=tuple(causes.tolist()),
        busy=busy,
        moved=moved,
        macs=sum(group.macs for group in groups.groups),
        dense_macs=sum(group.dense_macs for group in groups.groups),
        activation_bytes=sum(group.activation_bytes for group in groups.groups),
        compression_ratio=mean_ratio(ratios[~np.isnan(ratios)].tolist()),
    )
