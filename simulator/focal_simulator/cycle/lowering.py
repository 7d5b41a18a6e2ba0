"""What an accelerator makes of a workload: jobs that follow from its tiles, and the array they run on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from focal_simulator.cycle.array import Array
from focal_simulator.cycle.jobs import GemmJob

__all__ = ["GivenJobs", "Lowering", "TileJobs"]


class TileJobs(Protocol):
    """A frozen value that makes jobs from its own fields and nothing else.

    Two that are equal make the same jobs, so designs that agree in it share them. An accelerator whose designs have
    nothing to share may return `GivenJobs`.
    """

    def jobs(self) -> Sequence[GemmJob]:
        """Return the GEMMs in the order of execution.

        Raises:
            UnsupportedError: The workload does not fit the tiles.
        """

    def __hash__(self) -> int:
        """Return a number that equal values share."""


@dataclass(frozen=True, eq=False)
class GivenJobs:
    """Jobs that were made before; equal only to itself.

    Attributes:
        given: In the order of execution.
    """

    given: tuple[GemmJob, ...]

    def jobs(self) -> Sequence[GemmJob]:
        """Return them."""
        return self.given


@dataclass(frozen=True, slots=True)
class Lowering:
    """A workload on an array.

    Attributes:
        tiles: What follows from workload and tiles.
        array: What the jobs run on, and the bytes they move.
    """

    tiles: TileJobs
    array: Array
