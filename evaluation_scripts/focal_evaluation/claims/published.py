"""Published measurements that nothing of ours recomputes: accuracies and GPU runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from focal_evaluation.claims.tables import number_in, read_table

Pair = tuple[str, str]
"""Model and dataset."""


@dataclass(frozen=True, slots=True)
class GpuRun:
    """One measurement on the Jetson board.

    Attributes:
        energy_mj: Energy in mJ.
        seconds: Execution time in s.
    """

    energy_mj: float
    seconds: float


def read_gpu_runs(root: Path) -> dict[str, dict[Pair, GpuRun]]:
    """Return the published GPU runs by method (``gpu``, ``gpu_framefusion``), then model and dataset."""
    path = root / "jetson_gpu.csv"
    runs: dict[str, dict[Pair, GpuRun]] = {}
    for row in read_table(path, ("model", "dataset", "method", "energy_mj", "execution_time_s")):
        run = GpuRun(number_in(row, "energy_mj", path), number_in(row, "execution_time_s", path))
        runs.setdefault(row["method"], {})[row["model"], row["dataset"]] = run
    return runs


def read_accuracies(root: Path) -> dict[tuple[str, str], dict[Pair, float]]:
    """Return the published accuracies by (method, precision), then model and dataset."""
    path = root / "accuracy.csv"
    found: dict[tuple[str, str], dict[Pair, float]] = {}
    for row in read_table(path, ("model", "dataset", "method", "precision", "accuracy")):
        pair = row["model"], row["dataset"]
        found.setdefault((row["method"], row["precision"]), {})[pair] = number_in(row, "accuracy", path)
    return found
