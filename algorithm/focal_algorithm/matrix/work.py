"""A matrix as a task for workers: what every shard of it needs to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from focal_algorithm.matrix.rows import MatrixRow
from focal_algorithm.matrix.run import MatrixRun
from focal_algorithm.matrix.schema import Matrix
from focal_common.console import errors_console
from focal_common.spreading.shards import Shard


@dataclass(frozen=True)
class MatrixTask:
    """Chosen rows of a matrix and where they go.

    Attributes:
        matrix: The matrix.
        rows: Those to run.
        output: Trace root.
        data: See `focal_algorithm.matrix.rows.row_settings`.
        threads: CPU threads of a worker; 0 leaves torch's choice.
        batch: See `focal_algorithm.tracing.batches.read_batch`; for rows of accuracy, those of 8-bit layers excepted.
    """

    matrix: Matrix
    rows: tuple[MatrixRow, ...]
    output: Path
    data: Path | None
    threads: int
    batch: str = "1"

    @property
    def units(self) -> int:
        """Samples of all rows; a row of all questions of a task counts once."""
        return sum(max(1, row.suite.samples) for row in self.rows)

    def runner(self, is_resumed: bool, note: Callable[[str], Any], shard: Shard | None = None) -> MatrixRun:
        """Return what runs the rows, or one shard of them, in this process."""
        if self.threads:
            torch.set_num_threads(self.threads)
        return MatrixRun(self.matrix, self.output, self.data, is_resumed, note, shard, self.batch)


def work_matrix(task: MatrixTask, shard: Shard) -> None:
    """Do what a worker does of a matrix: the samples and questions of one shard."""
    console = errors_console()
    task.runner(True, lambda text: console.print(f"note: {text}", markup=False), shard).run(task.rows)
