"""What an accelerator makes of a workload: jobs that follow from its tiles, and the array they run on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from focal_simulator.jobs.jobs import GemmJob, Movement
from focal_simulator.kernels.pipeline import Pipeline
from focal_simulator.workload.layer_table import Traffic


class Units(Protocol):
    """The part of an array that one kind of jobs uses: a frozen value, equal to another with the same fields."""

    @property
    def machine(self) -> Pipeline:
        """Constants of the kernel."""

    def traffic(self, job: Movement) -> Mapping[Traffic, Any]:
        """Return the bytes a job moves, all copies; they follow from the fields and the job alone."""


class Array(Protocol):
    """Where the jobs of a run are executed: a frozen value; two that are equal have the same units."""

    def units(self, role: Any) -> Units:
        """Return what jobs of a role use; the role of a job that names none is its machine."""

    def __hash__(self) -> int:
        """Return a number that equal values share."""


class ArrayModel(Array, Protocol):
    """What plain GEMMs (vision tower, text, LM head, decode) need of an accelerator; a frozen value."""

    @property
    def tile_rows(self) -> int:
        """Rows of a full m-tile."""

    def machine(self, inputs: int) -> Pipeline:
        """Return the kernel's constants for a GEMM of ``inputs`` inputs."""


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
class BatchedTiles:
    """Jobs of several prompts of equal counts; equal by value if the tiles are.

    Each prompt has m-tiles of its own, and weights are fetched for every m-tile: a batch takes as many times as long as
    one prompt, and prompts can be dealt out to arrays.

    Attributes:
        tiles: Of one prompt.
        batch: Prompts.
    """

    tiles: TileJobs
    batch: int

    def jobs(self) -> Sequence[GemmJob]:
        """Return the jobs, each of all prompts; raises as those of the tiles do."""
        many = self.batch
        return [
            replace(
                job,
                copies=job.copies * many,
                macs=job.macs * many,
                dense_macs=job.dense_macs * many,
                activation_bytes=job.activation_bytes * many,
                parallel_cycles={name: cycles * many for name, cycles in job.parallel_cycles.items()},
                serial_cycles={name: cycles * many for name, cycles in job.serial_cycles.items()},
                vector_work=f"{many} x ({job.vector_work})" if job.vector_work else "",
                extra_read_bytes=job.extra_read_bytes * many,
                extra_write_bytes=job.extra_write_bytes * many,
                traffic={key: value * many for key, value in job.traffic.items()},
            )
            for job in self.tiles.jobs()
        ]


@dataclass(frozen=True, slots=True)
class Lowering:
    """A workload on an array.

    Attributes:
        tiles: What follows from workload and tiles.
        array: What the jobs run on, and the bytes they move.
    """

    tiles: TileJobs
    array: Array
