"""Cycles of each GEMM of a run, in the order of execution."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focal_simulator.engine.cycle.packed import GroupCounts, in_order
from focal_simulator.hardware.specs import SERIAL_UNITS, SIDE_UNITS
from focal_simulator.jobs.jobs import CAUSES, PlacedJob
from focal_simulator.kernels.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class JobTime:
    """Cycles of one job, all copies.

    Attributes:
        job: What was timed.
        causes: Cycles by cause, axis `CAUSES`, int64.
    """

    job: PlacedJob
    causes: NDArray[np.int64]

    @property
    def total_cycles(self) -> int:
        """All cycles."""
        return int(self.causes.sum())


def job_times(counts: Sequence[GroupCounts]) -> tuple[JobTime, ...]:
    """Return the jobs of counted groups with their cycles."""
    pairs = [zip(one.placed(), one.causes, strict=True) for one in counts]
    return tuple(JobTime(job, causes) for job, causes in in_order(counts, [list(pair) for pair in pairs]))


def _multipliers(machine: Pipeline) -> int:
    """Return the multipliers of an array: h x w, or row lanes x columns where inputs come one a cycle."""
    return machine.array_columns * (machine.slice_elements if machine.row_lanes == 1 else machine.row_lanes)


def layer_rows(times: Iterable[JobTime], energies: Iterable[Mapping[str, float]]) -> list[dict[str, Any]]:
    """Return the rows in order of execution; cycles, bytes and energy are of all copies.

    Args:
        times: Of every job.
        energies: In mJ by part of the chip, see `focal_simulator.engine.cycle.energy.job_energies`.
    """
    rows = []
    for number, (time, energy) in enumerate(zip(times, energies, strict=True)):
        job, shape, machine = time.job, time.job.shape, time.job.machine
        rows.append(
            {
                "place": number,
                "block": job.block,
                "layer": job.layer,
                "part": job.part,
                "cycles": time.total_cycles,
                **{f"{name}_cycles": int(time.causes[place]) for place, name in enumerate(CAUSES)},
                "rows": int(job.rows.sum()) if job.tile_outputs is None else int(job.rows.max(initial=0)),
                "m_tiles": len(job.rows),
                "outputs": job.outputs,
                "copies": job.copies,
                "copies_divisor": job.copies_divisor,
                "cut": job.cut,
                "arrays": job.arrays,
                "folds": job.scaled(shape.folds),
                "streamed_rows": job.scaled(shape.streamed_rows),
                "scattered_rows": job.scaled(shape.scattered_rows),
                "gathered_rows": job.scaled(shape.gathered_rows),
                "gathered_vectors": job.scaled(shape.gathered_vectors),
                "dram_read_bytes": job.scaled(shape.read_bytes(machine)) + job.extra_read_bytes,
                "dram_write_bytes": job.scaled(shape.written_bytes(machine)) + job.extra_write_bytes,
                "macs": job.macs,
                "dense_macs": job.dense_macs,
                "utilisation": job.macs / max(time.total_cycles * _multipliers(machine), 1),
                "energy_mj": math.fsum(energy.values()),
                **{f"{name}_energy_mj": value for name, value in energy.items()},
                **{f"machine_{name}": value for name, value in machine._asdict().items()},
                **{f"beside_{name}": job.parallel_cycles.get(name, 0) for name in ("scatter", *SIDE_UNITS)},
                "beside_sfu_work": job.vector_work,
                **{f"before_{name}": job.serial_cycles.get(name, 0) for name in SERIAL_UNITS},
            }
        )
    return rows
