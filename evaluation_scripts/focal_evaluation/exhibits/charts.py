"""The few kinds of charts that exhibits use."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from focal_evaluation.exhibits.base import DONE
from focal_evaluation.exhibits.shared_rows import GEOMEAN, in_order
from focal_evaluation.exhibits.style import (
    PARTS,
    colour,
    drawable,
    hatch,
    label,
    short,
    width_points,
    workload_label,
)

_CHARACTERS_PER_INCH = 24.5
"""Of the foot's font size."""

_LONGEST_NOTE = 320
"""In characters; what stands there may name files and errors of any length, which the table has in full."""

_FOOT_SHARE = 0.98
"""Of the width of a figure."""

_LABEL_POINTS = 5.8
"""Size of tick labels under groups of bars."""

_AXES_SHARE = 0.92
"""Of the width of a figure, beside the label of the vertical axis."""

_SHORTEST_LABEL, _LONGEST_LABEL = 4, 14

_EMPTY = "\u2013"

_INCHES_PER_CHARACTER = 0.066
"""Of table cells; heads are bold."""

_MANY_CHARACTERS = 36
"""Of all tick labels in one column."""


def foot(figure: Any, notes: Sequence[str]) -> None:
    """Write notes under a figure, inside its layout."""
    width = int(figure.get_figwidth() * _CHARACTERS_PER_INCH)
    text = " ".join(short(note, _LONGEST_NOTE) for note in notes)
    room = 72 * _FOOT_SHARE * figure.get_figwidth()
    lines = textwrap.fill(text, width)
    # Wide characters need more room than the usual number of them.
    while width > 1 and max((width_points(one, 5.2) for one in lines.split("\n")), default=0.0) > room:
        width = int(0.95 * width)
        lines = textwrap.fill(text, width)
    figure.supxlabel(lines, fontsize=5.2, x=0.01, ha="left", color="#404040", linespacing=1.25)


def group_labels(frame: pd.DataFrame, width_inches: float) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the (model, dataset) groups from left to right, and two-line labels that fit side by side."""
    pairs = list(dict.fromkeys(zip(frame["model"], frame["dataset"], strict=True)))
    room = 0.97 * 72 * width_inches / max(len(pairs), 1)
    for longest in range(_LONGEST_LABEL, _SHORTEST_LABEL - 1, -1):
        labels = [
            f"Geomean\n{dataset}" if model == GEOMEAN else workload_label(model, dataset, longest)
            for model, dataset in pairs
        ]
        if all(width_points(line, _LABEL_POINTS) <= room for one in labels for line in one.split("\n")):
            break
    return pairs, labels


def grouped_bars(
    axis: Any, frame: pd.DataFrame, column: str, methods: Sequence[str], digits: int = 2
) -> None:
    """Draw one bar per group and method; an absent number is a cross at the foot.

    Args:
        axis: Where to draw.
        frame: Columns ``model, dataset, method, status`` and ``column``.
        column: What to draw.
        methods: From left to right.
        digits: Behind the point of the value that is written on each bar of the mean.
    """
    pairs, labels = group_labels(frame, _AXES_SHARE * axis.figure.get_figwidth())
    width = 0.82 / len(methods)
    for number, method in enumerate(methods):
        offset = (number - (len(methods) - 1) / 2) * width
        part = frame[frame["method"] == method]
        for row in part.to_dict("records"):
            place = pairs.index((row["model"], row["dataset"])) + offset
            if row["status"] != DONE:
                _cross(axis, place)
                continue
            axis.bar(
                place,
                row[column],
                0.92 * width,
                color=colour(method),
                hatch=hatch(method),
                edgecolor="black",
                linewidth=0.25,
            )
            if row["model"] == GEOMEAN or len(pairs) == 1:
                axis.text(place, row[column], f" {row[column]:.{digits}f}", rotation=90, **_OVER)
    _finish_groups(axis, pairs, labels)


_OVER = {"ha": "center", "va": "bottom", "fontsize": 5.5}


def _cross(axis: Any, place: float) -> None:
    axis.plot(place, 0.02, marker="x", color="#D55E00", markersize=3, transform=axis.get_xaxis_transform())


def _finish_groups(axis: Any, pairs: list[tuple[str, str]], labels: list[str]) -> None:
    axis.set_xticks(range(len(pairs)), labels)
    axis.tick_params(axis="x", length=0, labelsize=_LABEL_POINTS)
    axis.set_xlim(-0.55, len(pairs) - 0.45)
    axis.grid(axis="y")
    axis.margins(y=0.16)
    for place, (model, _) in enumerate(pairs):
        if model == GEOMEAN:
            axis.axvline(place - 0.5, color="#404040", linewidth=0.6)


def stacked_bars(axis: Any, frame: pd.DataFrame, methods: Sequence[str], top: float) -> None:
    """Draw core, buffer and DRAM of each group and method on top of each other.

    Args:
        axis: Where to draw.
        frame: Columns ``model, dataset, method, status, core, buffer, dram, total``; parts are NaN where only
            the total is known.
        methods: From left to right.
        top: Bars above are cut, and their value is written.
    """
    pairs, labels = group_labels(frame, _AXES_SHARE * axis.figure.get_figwidth())
    width = 0.82 / len(methods)
    for number, method in enumerate(methods):
        offset = (number - (len(methods) - 1) / 2) * width
        for row in frame[frame["method"] == method].to_dict("records"):
            place = pairs.index((row["model"], row["dataset"])) + offset
            if row["status"] != DONE:
                _cross(axis, place)
                continue
            base = 0.0
            if pd.isna(row["core"]):
                axis.bar(place, min(row["total"], top), 0.92 * width, color="white", **_frame_of(method))
            else:
                for part, (_, shade) in PARTS.items():
                    axis.bar(
                        place,
                        row[part],
                        0.92 * width,
                        bottom=base,
                        color=shade,
                        linewidth=0.15,
                        edgecolor="black",
                    )
                    base += row[part]
                axis.bar(place, row["total"], 0.92 * width, fill=False, **_frame_of(method))
            if row["total"] > top or row["model"] == GEOMEAN:
                axis.text(place, min(row["total"], top), f" {row['total']:.2f}", rotation=90, **_OVER)
    axis.set_ylim(0, 1.28 * top)
    _finish_groups(axis, pairs, labels)


def _frame_of(method: str) -> dict[str, Any]:
    return {"edgecolor": colour(method), "linewidth": 1.0, "hatch": "///" if "gpu" in method else ""}


def legend_above(axis: Any, methods: Sequence[str], columns: int, parts: bool = False) -> None:
    """Write the legend above the axes, where no bar can hide it."""
    from matplotlib.patches import Patch

    handles = [
        Patch(facecolor=colour(name), hatch=hatch(name), edgecolor="black", linewidth=0.25, label=label(name))
        for name in methods
    ]
    if parts:
        handles = [
            Patch(facecolor="white", edgecolor=colour(name), linewidth=1.2, label=label(name))
            for name in methods
        ] + [
            Patch(facecolor=shade, edgecolor="black", linewidth=0.25, label=name)
            for name, shade in PARTS.values()
        ]
    axis.legend(
        handles=handles,
        ncols=columns,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        borderaxespad=0.1,
        handleheight=0.9,
    )


def panels(
    title_x: str,
    ticks: Sequence[str],
    series: Sequence[tuple[str, Callable[[Any], None]]],
    notes: Sequence[str],
) -> Any:
    """Draw quantities with different units one above the other over the same categories.

    Args:
        title_x: Label of the horizontal axis.
        ticks: Categories.
        series: Label of the vertical axis, and what draws on it.
        notes: For the foot.
    """
    from focal_evaluation.exhibits.style import COLUMN_INCHES, new_figure

    figure = new_figure(COLUMN_INCHES, 0.75 + 0.85 * len(series))
    axes = figure.subplots(len(series), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (name, draw) in zip(axes, series, strict=True):
        draw(axis)
        axis.set_ylabel(name)
        axis.grid(axis="y")
        axis.margins(y=0.28)
    size = 6.5 if sum(map(len, ticks)) < _MANY_CHARACTERS else 5.2
    axes[-1].set_xticks(range(len(ticks)), ticks, fontsize=size)
    axes[-1].set_xlabel(title_x)
    figure.align_ylabels(axes)
    foot(figure, notes)
    return figure


def table_figure(frame: pd.DataFrame, title: str, notes: Sequence[str], first_columns: int = 1) -> Any:
    """Draw a table of text.

    Args:
        frame: Cells as they are to be read.
        title: One line above.
        notes: For the foot.
        first_columns: How many columns are aligned to the left; the others are aligned to the right.
    """
    from focal_evaluation.exhibits.style import PAGE_INCHES, new_figure

    cells = [[drawable(str(cell)) or _EMPTY for cell in row] for row in frame.itertuples(index=False)]
    heads = [str(name).split("\n") for name in frame.columns]
    lines = max(len(head) for head in heads)
    widths = [
        max([*(len(part) for part in head), *(len(row[place]) for row in cells)]) + 2
        for place, head in enumerate(heads)
    ]
    height = 0.155 * (len(cells) + lines) + 0.55
    width_inches = _INCHES_PER_CHARACTER * sum(widths) + 0.3
    # Wider tables are set in smaller type rather than over each other.
    size = 6.2 * min(1.0, PAGE_INCHES / width_inches)
    figure = new_figure(min(PAGE_INCHES, width_inches), height)
    axis = figure.subplots()
    axis.set_axis_off()
    axis.set_xlim(0, sum(widths))
    axis.set_ylim(len(cells) + lines + 0.2, -0.2)
    axis.set_title(title, loc="left", fontsize=7.5)
    start = 0
    for place, width in enumerate(widths):
        is_left = place < first_columns
        x, side = (start + 0.5, "left") if is_left else (start + width - 0.8, "right")
        for line, part in enumerate(heads[place], start=lines - len(heads[place])):
            axis.text(x, line + 0.5, part, ha=side, va="center", fontsize=size, fontweight="bold")
        for line, row in enumerate(cells):
            axis.text(x, lines + line + 0.5, row[place], ha=side, va="center", fontsize=size)
        start += width
    for y, thickness in ((0.0, 0.9), (lines, 0.5), (lines + len(cells), 0.9)):
        axis.axhline(y, color="black", linewidth=thickness)
    foot(figure, notes)
    return figure


def methods_of(frame: pd.DataFrame) -> list[str]:
    """Return the methods of a frame from left to right."""
    return in_order(frame["method"])
