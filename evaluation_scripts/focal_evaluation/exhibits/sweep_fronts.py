"""Pareto fronts in two dimensions, all objectives on parallel axes, and the hypervolume as the study went on."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np

from focal_evaluation.exhibits.sweep_style import (
    DOMINATED,
    FRONT,
    KNEE,
    metric_label,
    new_figure,
    put_title,
    save,
    title,
)
from focal_simulator.sweep.pareto import Front, hypervolume_history
from focal_simulator.sweep.rows import Row
from focal_simulator.sweep.run import SweepResult

_MOST_LINES = 400


def draw_fronts(result: SweepResult, folder: Path) -> list[Path]:
    """Draw every pair of objectives: dominated points grey, the front of all objectives, the knee marked."""
    front = result.front
    names = [objective.metric for objective in result.plan.study.objectives]
    pairs = list(itertools.combinations(names, 2))
    figure = new_figure(4.6 * len(pairs), 4.2)
    panels = figure.subplots(1, len(pairs), squeeze=False)[0]
    for panel, (across, up) in zip(panels, pairs, strict=True):
        _scatter(panel, result.feasible, front, across, up, is_line=len(names) == 2)
        panel.set_xlabel(metric_label(result, across))
        panel.set_ylabel(metric_label(result, up))
    handles, words = panels[0].get_legend_handles_labels()
    # Below the panels: inside them it would hide points.
    figure.legend(handles, words, fontsize=7, loc="outside lower center", ncols=len(words))
    put_title(figure, title(result, "Pareto front"))
    return save(figure, folder, "pareto")


def _scatter(panel: Any, rows: list[Row], front: Front, across: str, up: str, is_line: bool) -> None:
    dominated = [row for row, on_front in zip(rows, front.is_on_front, strict=True) if not on_front]
    panel.scatter(
        [row[across] for row in dominated],
        [row[up] for row in dominated],
        s=7,
        color=DOMINATED,
        linewidths=0,
        label=f"dominated ({len(dominated)})",
        rasterized=True,
    )
    on_line = sorted(front.rows, key=lambda row: (row[across], row[up]))
    panel.plot(
        [row[across] for row in on_line],
        [row[up] for row in on_line],
        marker="o",
        markersize=3.5,
        linewidth=0.9 if is_line else 0,
        drawstyle="steps-post",
        color=FRONT,
        label=f"front ({len(on_line)})",
    )
    panel.plot(
        [front.knee[across]],
        [front.knee[up]],
        marker="*",
        markersize=12,
        linewidth=0,
        color=KNEE,
        label=f"knee (point {front.knee['index']})",
    )
    panel.set_axisbelow(True)
    panel.grid(linewidth=0.3)


def draw_parallel(result: SweepResult, folder: Path) -> list[Path]:
    """Draw the front on parallel axes, one per study axis and objective; dominated points grey behind it."""
    front, study = result.front, result.plan.study
    axes = [axis.label for axis in study.axes]
    names = [*axes, *(objective.metric for objective in study.objectives)]
    feasible = result.feasible
    scaled = np.column_stack([_scaled([row[name] for row in feasible]) for name in names])
    figure = new_figure(max(6.0, 1.35 * len(names)), 4.4)
    panel = figure.subplots()
    behind = np.flatnonzero(~front.is_on_front)
    # Evenly thinned: more grey lines than this only darken the page.
    for place in behind[:: max(1, len(behind) // _MOST_LINES)]:
        panel.plot(scaled[place], color=DOMINATED, linewidth=0.4, alpha=0.5)
    for place in np.flatnonzero(front.is_on_front):
        is_knee = feasible[place] is front.knee
        panel.plot(
            scaled[place],
            color=KNEE if is_knee else FRONT,
            linewidth=2.2 if is_knee else 0.8,
            alpha=1.0 if is_knee else 0.6,
            zorder=3 if is_knee else 2,
        )
    for place, name in enumerate(names):
        panel.axvline(place, color="black", linewidth=0.6)
        ends = _ends([row[name] for row in feasible])
        panel.text(place, -0.05, ends[0], ha="center", va="top", fontsize=6)
        panel.text(place, 1.03, ends[1], ha="center", va="bottom", fontsize=6)
    panel.set_xticks(range(len(names)), [name.replace(".", ".\n") for name in names], fontsize=7)
    panel.tick_params(axis="x", length=0, pad=14)
    panel.set_yticks([])
    panel.set_xlim(-0.3, len(names) - 0.7)
    for side in ("top", "right", "left", "bottom"):
        panel.spines[side].set_visible(False)
    put_title(figure, title(result, "front (blue), knee (orange), dominated (grey)"))
    return save(figure, folder, "parallel")


def draw_hypervolume(result: SweepResult, folder: Path) -> list[Path]:
    """Draw the share of the final hypervolume after each evaluated point, in order of evaluation."""
    front = result.front
    history = hypervolume_history(front.values, front.reference)
    places = [int(row["index"]) + 1 for row in result.feasible]
    figure = new_figure(5.4, 3.4)
    panel = figure.subplots()
    panel.step(
        places, history / history[-1] if history[-1] else history, where="post", color=FRONT, linewidth=1.2
    )
    panel.set_xlabel("points evaluated")
    panel.set_ylabel("share of the final hypervolume")
    panel.set_ylim(0, 1.04)
    panel.set_axisbelow(True)
    panel.grid(linewidth=0.3)
    put_title(figure, title(result, "hypervolume"))
    return save(figure, folder, "hypervolume")


def _numbers(values: list[Any]) -> list[float] | None:
    return (
        None if any(isinstance(one, str) or one is None for one in values) else [float(one) for one in values]
    )


def _levels(values: list[Any]) -> list[str]:
    return list(dict.fromkeys(str(one) for one in values))


def _scaled(values: list[Any]) -> Any:
    numbers = _numbers(values)
    if numbers is None:
        levels = _levels(values)
        numbers = [float(levels.index(str(one))) for one in values]
    array = np.array(numbers)
    spread = array.max() - array.min()
    return (array - array.min()) / spread if spread else np.full(len(array), 0.5)


def _ends(values: list[Any]) -> tuple[str, str]:
    numbers = _numbers(values)
    if numbers is None:
        levels = _levels(values)
        return levels[0], levels[-1]
    return f"{min(numbers):.4g}", f"{max(numbers):.4g}"
