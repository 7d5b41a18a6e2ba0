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
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=",\n")
    writer.writerow(COLUMNS)
    for time in times:
        writer.writerows(_lines(time.job, heads.get(time.job.block, 0)))
    atomic_write_text(path, text.getvalue())


def _lines(job: PlacedJob, head_elements: int) -> Iterator[Line]:
    name = f"{job.block}.{job.layer}" + ("" if job.part == "gemm" else f".{job.part}")
    if job.tile_outputs is None:
        rows = int(job.rows.sum())
        inputs, rest = divmod(job.macs, max(rows * job.outputs * job.copies, 1))
        shapes = [(rows, job.outputs, inputs)] if rows else []
        is_whole = rest == 0 and job.copies_divisor == 1
        slices = np.full(len(job.rows), job.unique.shape[1])
    else:
        keys = np.cumsum(job.rows, dtype=np.int64).tolist()
        pairs = [(end, head_elements) if job.part == "scores" else (head_elements, end) for end in keys]
        shapes = [(int(rows), *pair) for rows, pair in zip(job.rows, pairs, strict=True)]
        is_whole = head_elements > 0 and (job.part != "scores" or job.tile_outputs.tolist() == keys)
        slices = job.tile_slices if job.tile_slices is not None else np.full(len(keys), job.unique.shape[1])
    used = np.arange(job.unique.shape[1]) < np.asarray(slices)[:, None]
    if not is_whole or not np.array_equal(
        job.unique[used], np.broadcast_to(job.rows[:, None], used.shape)[used]
    ):
        raise UnsupportedError(
            f"{name}: is computed in part only, and a GEMM topology has whole GEMMs; expected an accelerator without "
            "vector concentration, with all corrections on"
        )
    for copy in range(job.copies):
        for tile, (m, n, k) in enumerate(shapes):
            parts = [
                name,
                *([f"copy{copy}"] if job.copies > 1 else []),
                *([f"tile{tile}"] if len(shapes) > 1 else []),
            ]
            yield ".".join(parts), m, n, k
