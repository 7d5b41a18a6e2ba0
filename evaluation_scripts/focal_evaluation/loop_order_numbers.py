"""DRAM bytes of workloads for every loop order and for memories that keep panels: formula, not timed."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focal_simulator.accelerators.base import Accelerator
from focal_simulator.cycle.corrections import ALL
from focal_simulator.cycle.jobs import GemmJob
from focal_simulator.cycle.loop_traffic import tiled_gemm
from focal_simulator.cycle.memory import MemoryRates
from focal_simulator.cycle.packed import GroupCounts, batched_jobs, placed_jobs
from focal_simulator.cycle.simulate import cycle_context
from focal_simulator.cycle.systolic import SystolicUnits
from focal_simulator.layer_table import LINEAR_LAYERS
from focal_simulator.loop_orders import LOOP_ORDERS, PUBLISHED_ORDER, Kept, TiledGemm, moved_bytes
from focal_simulator.workload import Workload

__all__ = ["OPERANDS", "Choice", "LoopTraffic", "fewest", "largest_panel_bytes"]

OPERANDS = ("input", "weight", "partial")

_PUBLISHED = LOOP_ORDERS.index(PUBLISHED_ORDER)
_PJ_PER_MJ = 1e9


@dataclass(frozen=True)
class Choice:
    """One loop order for all linear layers, and whose panels a memory beside the buffers keeps.

    Attributes:
        order: Of `LOOP_ORDERS`.
        operand: Of `OPERANDS`.
        read_bytes: DRAM reads.
        spilled_bytes: DRAM writes of unfinished partial sums.
        served_bytes: Reads that the memory serves in place of DRAM.
        kept_bytes: Bytes written into the memory.
    """

    order: str
    operand: str
    read_bytes: int
    spilled_bytes: int
    served_bytes: int
    kept_bytes: int

    @property
    def total_bytes(self) -> int:
        """DRAM reads and writes."""
        return self.read_bytes + self.spilled_bytes

    def dram_mj(self, rates: MemoryRates) -> float:
        """Return the dynamic DRAM energy."""
        read, written = rates.read_pj_per_byte, rates.write_pj_per_byte
        return (self.read_bytes * read + self.spilled_bytes * written) / _PJ_PER_MJ


class LoopTraffic:
    """What loop orders move on some workloads.

    Args:
        accelerator: A systolic array, with or without concentration.
        workloads: Accepted by it.
    """

    def __init__(self, accelerator: Accelerator[Any], workloads: Sequence[Workload]) -> None:
        context = cycle_context(accelerator, ALL)
        self.rates, self.kept = context.rates, Kept(*np.zeros((3, 1), dtype=np.int64))
        self.jobs: list[GemmJob] = [
            job for workload in workloads for job in placed_jobs(accelerator.jobs(workload, context))
        ]

    def comparing(self, kept: Kept) -> LoopTraffic:
        """Return the same jobs with what buffers keep in each alternative, axis (alternatives); the first keeps 0."""
        other = copy(self)
        other.kept = kept
        other.__dict__.pop("parts", None)
        return other

    @cached_property
    def gemms(self) -> list[TiledGemm]:
        """The linear layers; attention is causal, so each of its m-tiles meets keys of its own."""
        return [tiled_gemm(job) for job in self.jobs if job.layer in LINEAR_LAYERS]

    @cached_property
    def all_bytes(self) -> int:
        """DRAM bytes of everything, as the engine counts them."""
        return sum(_dram_bytes(job, "read") + _dram_bytes(job, "write") for job in self.jobs)

    @cached_property
    def parts(self) -> NDArray[np.int64]:
        """Bytes of the linear layers, axes (orders, GEMMs, alternatives, operands); partial sums one way."""
        rows = [[moved_bytes(gemm, order, self.kept) for gemm in self.gemms] for order in LOOP_ORDERS]
        return np.array([[np.stack(moved, axis=-1) for moved in row] for row in rows])

    def whole_bytes(self, linear_bytes: int) -> int:
        """Return the DRAM bytes of everything if those of the linear layers were ``linear_bytes``."""
        published = self.parts[_PUBLISHED, :, 0].sum(axis=0) @ _DRAM_TRIPS
        return self.all_bytes - int(published) + linear_bytes

    def by_order(self, alternative: int) -> dict[str, int]:
        """Return DRAM bytes of the linear layers by order; ``best`` takes the best order of each GEMM."""
        totals = self.parts[:, :, alternative] @ _DRAM_TRIPS
        found = {order: int(totals[place].sum()) for place, order in enumerate(LOOP_ORDERS)}
        return found | {"best": int(totals.min(axis=0).sum())}

    def choices(self, alternative: int) -> list[Choice]:
        """Return every order with every operand kept alone."""
        found, sums = [], self.parts.sum(axis=1)
        for place, order in enumerate(LOOP_ORDERS):
            for operand, name in enumerate(OPERANDS):
                own = sums[place, 0].copy()
                own[operand] = sums[place, alternative, operand]
                served = int(sums[place, 0, operand] - own[operand])
                # What is served was written once; partial sums are written as often as they are read.
                kept = served if name == "partial" else int(own[operand])
                found.append(Choice(order, name, int(own.sum()), int(own[2]), served, kept))
        return found

    @cached_property
    def attention_refetches(self) -> tuple[int, int]:
        """Return the DRAM reads of attention, and how many of them a row's first fetch does not explain."""
        read = once = 0
        for job in self.jobs:
            if job.layer in LINEAR_LAYERS:
                continue
            # With one n-tile as wide as the output every row is fetched once.
            units = SystolicUnits(job.machine._replace(columns_per_buffer=job.outputs))
            whole = GroupCounts(batched_jobs([job]).groups[0], units).shape
            elements, maps = int(whole.fetched_elements[0]), int(whole.map_read_bytes[0])
            once += job.scaled(elements * job.machine.element_bytes + maps)
            read += _dram_bytes(job, "read")
        return read, read - once


_DRAM_TRIPS = np.array([1, 1, 2])
"""A partial sum that leaves comes back."""


def largest_panel_bytes(gemms: Sequence[TiledGemm]) -> dict[str, list[int]]:
    """Return the different sizes of the largest panel of a GEMM, ascending, by operand.

    Panels of m rows by K of the input, K by n columns of the weights, and m by N of partial sums.
    """
    return {
        "input": sorted({int(gemm.input_bytes.sum(axis=1).max()) for gemm in gemms}),
        "weight": sorted({int(gemm.weight_bytes.sum(axis=0).max()) for gemm in gemms}),
        "partial": sorted({int(gemm.partial_bytes.sum(axis=1).max()) for gemm in gemms}),
    }


def fewest(choices: Sequence[Choice]) -> Choice:
    """Return the first choice with the fewest DRAM bytes."""
    return min(choices, key=lambda choice: choice.total_bytes)


def _dram_bytes(job: GemmJob, way: str) -> int:
    return sum(int(value) for (level, to, _), value in job.traffic.items() if (level, to) == ("dram", way))
