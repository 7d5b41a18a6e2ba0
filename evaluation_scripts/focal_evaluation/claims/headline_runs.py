"""Rows of the main experiments by method, and the ratios that headline numbers are made of."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from focal_evaluation.claims.published import GpuRun, read_accuracies, read_gpu_runs
from focal_evaluation.claims.result_rows import PublishedRows, ResultRow

MAIN_METHODS = ("dense", "adaptiv", "cmc", "focus")


class MainRuns:
    """Rows of the main experiments by method, over the published video and image workloads."""

    def __init__(self, results: PublishedRows, root: Path) -> None:
        files = {**{name: f"main_{name}" for name in MAIN_METHODS}, "sec_only": "main_focus_sec_only"}
        self.rows = {name: results.get(file, {}) for name, file in files.items()}
        measured = read_accuracies(root)
        self.video = ["/".join(pair) for pair in measured["cmc", "fp16"]]
        self.image = [
            subject for pair in measured["focus", "fp16"] if (subject := "/".join(pair)) not in self.video
        ]
        gpu = read_gpu_runs(root)
        self.gpu: dict[str, dict[str, GpuRun]] = {
            name: {"/".join(pair): run for pair, run in runs.items()} for name, runs in gpu.items()
        }

    def has(self, *methods: str, images: bool = False) -> bool:
        """Whether every published workload was run with these methods: a mean over fewer is another number."""
        subjects = self.image if images else self.video
        return all(
            subject in found and is_whole(found[subject])
            for method in methods
            for found in (self.gpu.get(method) or self.rows[method],)
            for subject in subjects
        )

    def seconds(self, method: str, subject: str) -> float:
        """Return the time of a workload, of a GPU run as published."""
        if method in self.gpu:
            return self.gpu[method][subject].seconds
        return self.rows[method][subject]["execution_time"]

    def energy_mj(self, method: str, subject: str) -> float:
        """Return the energy of a workload, of a GPU run as published."""
        if method in self.gpu:
            return self.gpu[method][subject].energy_mj
        return self.rows[method][subject]["total_energy"]

    def speedups(self, method: str, over: str, subjects: Iterable[str] | None = None) -> list[float]:
        """Return the time of ``over`` over that of ``method``, by workload; of the videos if None."""
        return [
            self.seconds(over, subject) / self.seconds(method, subject)
            for subject in (self.video if subjects is None else subjects)
        ]

    def energies(self, method: str) -> list[float]:
        """Return energies over those of the dense array, video workloads."""
        return [self.energy_mj(method, subject) / self.energy_mj("dense", subject) for subject in self.video]

    def sparsity_percent(self, method: str) -> dict[str, float]:
        """Return the share of multiply-accumulates left out, by video workload."""
        dense = self.rows["focus"]
        return {
            subject: 100 * (1 - self.rows[method][subject]["num_ops"] / dense[subject]["dense_ops"])
            for subject in self.video
        }


def is_whole(row: GpuRun | ResultRow) -> bool:
    """Whether a row holds a time and an energy; one that failed or is zero does not."""
    if isinstance(row, GpuRun):
        return row.seconds > 0 and row.energy_mj > 0
    return all(row.numbers.get(name, 0) > 0 for name in ("execution_time", "total_energy"))
