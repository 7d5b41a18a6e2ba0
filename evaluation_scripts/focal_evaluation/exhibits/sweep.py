"""The pictures beside a finished study: fronts, axes, progress, sensitivity, and one page to look around in."""

from __future__ import annotations

from pathlib import Path

from focal_evaluation.exhibits.sweep_effects import draw_levels, draw_sensitivity
from focal_evaluation.exhibits.sweep_fronts import draw_fronts, draw_hypervolume, draw_parallel
from focal_evaluation.exhibits.sweep_page import write_page
from focal_simulator.sweep.run import SweepResult
from focal_simulator.sweep.study import ONE_AT_A_TIME

_MOST_EXACT_OBJECTIVES = 3


def draw_all(result: SweepResult, folder: Path) -> list[Path]:
    """Draw what a study can show, each figure as PDF and PNG; equal studies give equal bytes.

    Args:
        result: A finished study with at least one feasible point.
        folder: Where to write.

    Returns:
        Paths of the figures.

    Raises:
        RunError: The folder cannot be written.
    """
    objectives = result.plan.study.objectives
    paths: list[Path] = []
    if len(objectives) > 1:
        paths += draw_fronts(result, folder)
        paths += draw_parallel(result, folder)
    if len(objectives) <= _MOST_EXACT_OBJECTIVES:
        paths += draw_hypervolume(result, folder)
    if result.plan.study.kind == ONE_AT_A_TIME:
        paths += draw_levels(result, folder)
    else:
        paths += draw_sensitivity(result, folder)
    paths.append(write_page(result, folder))
    return paths
