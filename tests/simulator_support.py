"""Workloads and tables that simulator tests share."""

import csv
import json
import lzma
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focal.testing.workloads import small_workload
from focal_simulator.accelerators.base import Accelerator
from focal_simulator.engine.cycle.packed import batched_jobs, placed_jobs
from focal_simulator.engine.cycle.simulate import cycle_context
from focal_simulator.jobs.jobs import GemmJob, PlacedJob
from focal_simulator.kernels.pipeline import Pipeline
from focal_simulator.kernels.steady import packed_cycles
from focal_simulator.workload.loading import load_workloads
from focal_simulator.workload.workload import Workload
from focal_traces.counts.trace import GemmTotals
from focal_traces.header.schema import GEMMS
from focal_traces.methods.focus import SCHEDULES
from focal_traces.root.root import TraceRoot

__all__ = ["small_workload"]

DATA = Path(__file__).parent / "data"
PUBLISHED_ROOT = Path(__file__).parents[1] / "example_output" / "published"


def published_table(name: str) -> list[dict[str, str]]:
    with (DATA / "published" / name).open(encoding="utf-8") as source:
        return list(csv.DictReader(source))


def published_workloads() -> dict[tuple[str, str], Workload]:
    """The fifteen published rows, without stand-ins for the unpublished counts."""
    root = TraceRoot.open(PUBLISHED_ROOT)
    workloads = [replace(workload, counts=None) for workload in load_workloads(root, [], [])]
    return {(workload.model, workload.dataset): workload for workload in workloads}


def golden(name: str) -> Any:
    path = DATA / "simulator" / name
    if path.suffix == ".xz":
        with lzma.open(path, "rt", encoding="utf-8") as source:
            return json.load(source)
    return json.loads(path.read_text(encoding="utf-8"))


def golden_totals(case: dict[str, Any]) -> GemmTotals:
    """Counts [L, Z, T, V] of a golden case as totals."""
    counts = case["counts"]
    table = np.array([[counts[str(block)][name] for name in GEMMS] for block in range(len(counts))])
    unique, zero, tokens, slices = (table[..., place].astype(np.int64) for place in range(4))
    return GemmTotals(
        tokens=tokens,
        vectors=case["seq_len"] * slices - zero,
        unique=unique,
        slices=slices,
        visual_tokens=case["seq_len"],
    )


def gemm_cycles(
    machine: Pipeline, rows: NDArray[Any], unique: NDArray[Any], output_rows: NDArray[Any], outputs: int
) -> NDArray[np.int64]:
    """Cycles of one GEMM by cause."""
    job = GemmJob(0, "o_proj", "gemm", machine, rows, unique, output_rows, outputs, 0, 0, 0)
    cycles: NDArray[np.int64] = packed_cycles(machine, batched_jobs([job]).groups[0].gemms)[0]
    return cycles


def jobs_of(
    accelerator: Accelerator[Any], workload: Workload, corrections: frozenset[str]
) -> list[PlacedJob]:
    """Jobs of a prefill on an accelerator, in order, without special functions."""
    return placed_jobs(accelerator.jobs(workload, cycle_context(accelerator, corrections)))


def with_schedule(workload: Workload) -> Workload:
    """The workload with counts of its row of ``schedules.csv`` alone."""
    row = workload.row(SCHEDULES)
    assert row is not None
    return workload.with_schedule_counts(row.schedule)
