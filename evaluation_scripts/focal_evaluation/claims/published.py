"""Published measurements that nothing of ours recomputes: accuracies and GPU runs."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from focal_common.errors import TraceError
from focal_common.places import check_names

__all__ = ["GpuRun", "Pair", "read_accuracies", "read_gpu_runs"]

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


def _rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as source:
            reader = csv.DictReader(source, strict=True)
            rows = list(reader)
            found = reader.fieldnames or ()
    except FileNotFoundError as error:
        raise TraceError(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TraceError(f"{path}: not a CSV table ({error})") from error
    if missing := [name for name in columns if name not in found]:
        raise TraceError(f"{path}: column '{missing[0]}' is missing; expected {', '.join(columns)}")
    for number, row in enumerate(rows, start=1):
        check_names(row, f"{path}, row {number}")
    return rows


def _number(row: dict[str, str], name: str, path: Path) -> float:
    try:
        return float(row[name])
    except ValueError as error:
        raise TraceError(f"{path}: {name} is '{row[name]}', expected a number") from error


def read_gpu_runs(root: Path) -> dict[str, dict[Pair, GpuRun]]:
    """Return the published GPU runs by method (``gpu``, ``gpu_framefusion``), then model and dataset."""
    path = root / "jetson_gpu.csv"
    runs: dict[str, dict[Pair, GpuRun]] = {}
    for row in _rows(path, ("model", "dataset", "method", "energy_mj", "execution_time_s")):
        run = GpuRun(_number(row, "energy_mj", path), _number(row, "execution_time_s", path))
        runs.setdefault(row["method"], {})[row["model"], row["dataset"]] = run
    return runs


def read_accuracies(root: Path) -> dict[tuple[str, str], dict[Pair, float]]:
    """Return the published accuracies by (method, precision), then model and dataset."""
    path = root / "accuracy.csv"
    found: dict[tuple[str, str], dict[Pair, float]] = {}
    for row in _rows(path, ("model", "dataset", "method", "precision", "accuracy")):
        pair = row["model"], row["dataset"]
        found.setdefault((row["method"], row["precision"]), {})[pair] = _number(row, "accuracy", path)
    return found
