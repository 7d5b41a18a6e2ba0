"""The GEMMs of a run as a topology of SCALE-Sim: a line for each, causal attention by m-tiles and heads."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from focal_common.errors import UnsupportedError
from focal_common.files import atomic_write_text
from focal_simulator.engine.cycle.timing import JobTime
from focal_simulator.jobs.jobs import PlacedJob
from focal_simulator.whole_model.given import COLUMNS

Line = tuple[str, int, int, int]
"""Name, M, N, K."""


def write_topology(path: Path, times: Sequence[JobTime]) -> None:
    """Write the GEMMs of a run; read again as a list, they take the cycles and DRAM bytes of its array.

    Args:
        path: CSV file.
        times: Of one run, in order.

    Raises:
        UnsupportedError: A GEMM is computed in part only, by a unit that a topology does not know.
        RunError: The file cannot be written.
    """
    heads = {time.job.block: time.job.outputs for time in times if time.job.part == "values"}
    whole = {time.job.block: time.job.outputs for time in times if time.job.part == "scores"}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=",\n")
    writer.writerow(COLUMNS)
    for time in times:
        writer.writerows(_lines(time.job, heads.get(time.job.block, 0), whole.get(time.job.block, 0)))
    atomic_write_text(path, text.getvalue())


def _lines(job: PlacedJob, head_elements: int, keys: int) -> Iterator[Line]:
    name = f"{job.block}.{job.layer}" + ("" if job.part == "gemm" else f".{job.part}")
    if job.tile_outputs is None:
        rows = int(job.rows.sum())
        inputs, rest = divmod(job.macs, max(rows * job.outputs * job.copies, 1))
        shapes = [(rows, job.outputs, inputs)] if rows else []
        is_whole = rest == 0 and job.copies_divisor == 1
        slices = np.full(len(job.rows), job.unique.shape[1])
    else:
        slices = (
            job.tile_slices if job.tile_slices is not None else np.full(len(job.rows), job.unique.shape[1])
        )
        # The last slice of the values may be short; it holds the last key.
        deep = np.minimum(slices * job.machine.slice_elements, keys).tolist()
        inner = [head_elements] * len(job.rows) if job.part == "scores" else deep
        shapes = list(zip(job.rows.tolist(), job.tile_outputs.tolist(), inner, strict=True))
        is_whole = head_elements > 0 and job.copies_divisor == 1
    used = np.arange(job.unique.shape[1]) < np.asarray(slices)[:, None]
    if not is_whole or not np.array_equal(
        job.unique[used], np.broadcast_to(job.rows[:, None], used.shape)[used]
    ):
        raise UnsupportedError(
            f"{name}: is computed in part only, and a GEMM topology has whole GEMMs; expected an accelerator without "
            "vector concentration, with corrections all,-causal_triangle"
        )
    often = [1] * len(shapes) if job.tile_copies is None else job.tile_copies.tolist()
    shapes = [shape for shape, times in zip(shapes, often, strict=True) for _ in range(times)]
    for copy in range(job.copies):
        for tile, (m, n, k) in enumerate(shapes):
            parts = [
                name,
                *([f"copy{copy}"] if job.copies > 1 else []),
                *([f"tile{tile}"] if len(shapes) > 1 else []),
            ]
            yield ".".join(parts), m, n, k
