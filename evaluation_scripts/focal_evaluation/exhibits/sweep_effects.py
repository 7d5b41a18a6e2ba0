"""Which axes matter: levels of a one-at-a-time study, main effects and pairwise interactions of the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from focal_evaluation.exhibits.sweep_style import (
    KNEE,
    SERIES,
    metric_label,
    new_figure,
    put_title,
    save,
    title,
)
from focal_simulator.sweep.axes import BASE, Settings
from focal_simulator.sweep.rows import Row
from focal_simulator.sweep.run import SweepResult
from focal_simulator.sweep.sensitivity import Effects, effects


def draw_levels(result: SweepResult, folder: Path) -> list[Path]:
    """Draw every objective against the values of each axis, as Figure 10 of the Focus paper (HPCA 2026) does.

    Accuracy is added where it is known.
    """
    study = result.plan.study
    metrics = [objective.metric for objective in study.objectives]
    if "accuracy" not in metrics and any(row.get("accuracy") is not None for row in result.feasible):
        metrics.append("accuracy")
    axes = study.axes
    figure = new_figure(4.8 * len(axes), 2.1 * len(metrics) + 0.8)
    panels = figure.subplots(len(metrics), len(axes), squeeze=False)
    for column, axis in enumerate(axes):
        for line, metric in enumerate(metrics):
            by_level = _by_level(result, column)
            shown = [(level, row[metric]) for level, row in by_level if row[metric] is not None]
            panel = panels[line][column]
            panel.plot(
                range(len(shown)), [value for _, value in shown], marker="o", markersize=4, color=SERIES[line]
            )
            panel.set_xticks(range(len(shown)), [level for level, _ in shown], fontsize=7)
            panel.set_ylabel(metric_label(result, metric), fontsize=8)
            panel.set_axisbelow(True)
            panel.grid(axis="y", linewidth=0.3)
            panel.margins(y=0.15)
        panels[-1][column].set_xlabel(axis.label)
    put_title(figure, title(result, "one axis at a time"))
    return save(figure, folder, "levels")


def draw_sensitivity(result: SweepResult, folder: Path) -> list[Path]:
    """Draw, for each objective, the main effect of every axis and the interaction of every pair."""
    names = [axis.label for axis in result.plan.study.axes]
    metrics = [objective.metric for objective in result.plan.study.objectives]
    found = [effects(result.feasible, names, metric) for metric in metrics]
    if not found[0].axes:
        return []
    figure = new_figure(8.6, 0.9 + 2.6 * len(metrics))
    panels = figure.subplots(len(metrics), 2, squeeze=False, width_ratios=(1.0, 1.1))
    for (bars, cells), metric, one in zip(panels, metrics, found, strict=True):
        _draw_main(bars, metric_label(result, metric), one)
        _draw_pairs(figure, cells, one)
    how = "exact, full grid" if found[0].is_exact else "estimated, corrected for chance"
    put_title(figure, title(result, f"share of variance; {how}"))
    return save(figure, folder, "sensitivity")


def _draw_main(panel: Any, label: str, found: Effects) -> None:
    places = range(len(found.axes))
    panel.barh(places, found.main, color=SERIES[0])
    for place, share in enumerate(found.main):
        panel.text(share, place, f" {share:.2f}", va="center", fontsize=6)
    panel.set_yticks(places, found.axes, fontsize=7)
    panel.invert_yaxis()
    panel.set_xlim(0, 1.12)
    panel.set_xlabel(f"main effect on {label}", fontsize=7)
    panel.tick_params(axis="x", labelsize=7)


def _draw_pairs(figure: Any, panel: Any, found: Effects) -> None:
    largest = max(float(found.pairs.max()), 1e-12)
    image = panel.imshow(found.pairs, cmap="Blues", vmin=0.0, vmax=largest)
    for (line, column), share in _cells(found):
        colour = "white" if share > 0.6 * largest else KNEE
        panel.text(column, line, f"{share:.3f}", ha="center", va="center", fontsize=6, color=colour)
    places = range(len(found.axes))
    panel.set_xticks(places, found.axes, fontsize=6, rotation=30, ha="right")
    panel.set_yticks(places, found.axes, fontsize=6)
    figure.colorbar(image, ax=panel, shrink=0.8).ax.tick_params(labelsize=6)


def _cells(found: Effects) -> list[tuple[tuple[int, int], float]]:
    number = len(found.axes)
    return [
        ((line, column), float(found.pairs[line, column]))
        for line in range(number)
        for column in range(number)
        if line != column
    ]


def _by_level(result: SweepResult, place: int) -> list[tuple[str, Row]]:
    """Return the row of each value of an axis with all other axes at the base design, in the order of the study."""
    space, axis = result.plan.space, result.plan.study.axes[place]
    by_settings = {_key({name: row[name] for name in space.base}): row for row in result.feasible}
    found = []
    for choice, label in enumerate(axis.labels):
        choices = tuple(choice if other == place else BASE for other in range(len(space.axes)))
        row = by_settings.get(_key(space.settings(choices)))
        if row is not None:
            found.append((label, row))
    return found


def _key(settings: Settings) -> tuple[Any, ...]:
    """Return something that compares equal for a value and its form in the table, where lists are JSON text."""
    return tuple(
        json.dumps(value) if isinstance(value, list | bool) else value for value in settings.values()
    )
