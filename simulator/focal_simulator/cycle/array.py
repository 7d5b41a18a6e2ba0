"""An array as the engine meets it: its constants, its m-tile, and the bytes that follow from a job on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from focal_simulator.cycle.jobs import Movement
from focal_simulator.kernels.pipeline import Pipeline
from focal_simulator.layer_table import Traffic

__all__ = ["Array", "ArrayModel", "Units"]


class Units(Protocol):
    """The part of an array that one kind of jobs uses: a frozen value, equal to another with the same fields."""

    @property
    def machine(self) -> Pipeline:
        """Constants of the kernel."""

    def traffic(self, job: Movement) -> Mapping[Traffic, Any]:
        """Return the bytes a job moves, all copies; they follow from the fields and the job alone."""


class Array(Protocol):
    """Where the jobs of a run are executed."""

    def units(self, role: Any) -> Units:
        """Return what jobs of a role use; the role of a job that names none is its machine."""


class ArrayModel(Array, Protocol):
    """What plain GEMMs (vision tower, text, LM head, decode) need of an accelerator; a frozen value."""

    @property
    def tile_rows(self) -> int:
        """Rows of a full m-tile."""

    def machine(self, inputs: int) -> Pipeline:
        """Return the kernel's constants for a GEMM of ``inputs`` inputs."""
