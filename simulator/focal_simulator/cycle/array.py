"""An array as the engine meets it when nothing is concentrated: its constants, its m-tile, the bytes of a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from focal_simulator.cycle.jobs import GemmJob
from focal_simulator.kernels.pipeline import Pipeline
from focal_simulator.layer_table import Traffic

__all__ = ["ArrayModel"]


class ArrayModel(Protocol):
    """What plain GEMMs (vision tower, text, LM head, decode) need of an accelerator."""

    @property
    def tile_rows(self) -> int:
        """Rows of a full m-tile."""

    def machine(self, inputs: int) -> Pipeline:
        """Return the kernel's constants for a GEMM of ``inputs`` inputs."""

    def with_traffic(self, job: GemmJob, extra: Mapping[Traffic, int] | None = None) -> GemmJob:
        """Return the job with the bytes it moves, all copies."""
