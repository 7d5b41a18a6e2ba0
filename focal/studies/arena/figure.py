"""The picture of an arena: accuracy against tokens, and against energy-delay, from the rows of ``arena.csv`` alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from focal_common.errors import ConfigError
from focal_common.reading.frames import csv_frame
from focal_evaluation.exhibits.charts import foot
from focal_evaluation.exhibits.style import PAGE_INCHES, colour, label, new_figure, save, short, style
from focal_evaluation.results.result_frame import check_frame

_NEEDED = (
    *("model", "benchmark", "method", "budget", "status", "own_accelerator"),
    *("accuracy_measured", "low_measured", "high_measured", "equivalent_tokens_measured"),
)
_MARKS = {
    "dense": "*",
    "adaptiv": "s",
    "cdpruner": "8",
    "cmc": "D",
    "dart": "p",
    "dart_edge": "d",
    "divprune": "H",
    "dycoke": "_",
    "evs": "1",
    "fastv": "<",
    "fastvid": "2",
    "focus": "o",
    "focus_sec_only": "v",
    "framefusion": "^",
    "holitom": "3",
    "prumerge": "4",
    "prumerge_plus": "|",
    "pyramiddrop": ">",
    "sparsevlm": "P",
    "sparsezip": "X",
    "sparsezip_placed": "x",
    "visionzip": "h",
    "visionzip_placed": "+",
}
"""Marks that tell methods apart in grey, and variants from their methods."""

_ROW_INCHES = 2.3


def read_arena(path: Path) -> pd.DataFrame:
    """Read the rows of an arena.

    Raises:
        ConfigError: Not such a table, or none of its rows has an accuracy.
    """
    rows = csv_frame(path, _NEEDED, ConfigError, "expected arena.csv of 'focal arena'")
    check_frame(rows, path)
    if rows["accuracy_measured"].isna().all():
        raise ConfigError(f"{path}: no row has an accuracy; every method was refused")
    return rows


def points(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what is drawn: one row per method and budget that ran, with its energy-delay product.

    Columns ``tokens``; ``delay`` (mJ s), ``cycles`` and ``energy`` (mJ) on the method's own accelerator, NaN where not
    simulated; ``accuracy``, ``low``, ``high``, beside names, budget and status.
    """
    ran = rows[rows["accuracy_measured"].notna()]
    simulated = {
        name: [
            row.get(f"{column}_simulated_{row['own_accelerator']}", float("nan")) for _, row in ran.iterrows()
        ]
        for name, column in (("delay", "energy_delay_mj_s"), ("cycles", "cycles"), ("energy", "energy_mj"))
    }
    return pd.DataFrame(
        {
            **{name: ran[name] for name in ("model", "benchmark", "method", "budget", "status")},
            "tokens": ran["equivalent_tokens_measured"],
            **{name: pd.to_numeric(pd.Series(values, index=ran.index)) for name, values in simulated.items()},
            "accuracy": ran["accuracy_measured"],
            "low": ran["low_measured"],
            "high": ran["high_measured"],
        }
    ).reset_index(drop=True)


def front(own: pd.DataFrame, cost: str) -> pd.DataFrame:
    """Return the rows that no other row beats: none is as cheap and more accurate, or cheaper and as accurate."""
    known = own[own[cost].notna()].sort_values([cost, "accuracy"], ascending=[True, False])
    return known[known["accuracy"] > known["accuracy"].cummax().shift(fill_value=-1.0)]


_AXES = {
    "tokens": "equivalent visual tokens, layer mean (measured)",
    "delay": "energy x delay [mJ s] (simulated, prefill)",
    "cycles": "cycles (simulated, prefill)",
    "energy": "energy [mJ] (simulated, prefill)",
}


def draw_arena(table: Path, output: Path, costs: Sequence[str] = ("tokens", "delay")) -> list[Path]:
    """Write ``arena.pdf`` and ``arena.png``; equal tables give equal bytes.

    Args:
        table: ``arena.csv``.
        output: Folder.
        costs: Columns of `points` to draw accuracy against, tokens first.

    Raises:
        ConfigError: The table is none of an arena.
        RunError: The folder cannot be written.
    """
    found = points(read_arena(table))
    places = list(dict.fromkeys(zip(found["model"], found["benchmark"], strict=True)))
    with style():
        figure = new_figure(PAGE_INCHES, _ROW_INCHES * len(places) + 0.7)
        panels = figure.subplots(len(places), len(costs), squeeze=False, sharey="row")
        for (model, benchmark), line in zip(places, panels, strict=True):
            own = found[(found["model"] == model) & (found["benchmark"] == benchmark)]
            for cost, axis in zip(costs, line, strict=True):
                place = f"{short(benchmark, 24)}, {short(model, 24)}"
                _panel(axis, own, cost, place if axis is line[0] else "on the method's own accelerator")
                axis.set_xlabel(_AXES[cost])
            line[0].set_ylabel("accuracy [%] (measured)")
        handles, labels = _legend(panels)
        figure.legend(handles, labels, loc="outside upper center", ncols=5)
        foot(figure, _notes(found))
        return save(figure, output / "arena", ("pdf", "png"))


def _panel(axis: Any, own: pd.DataFrame, cost: str, title: str) -> None:
    axis.set_title(title)
    _scale(axis)
    axis.grid(visible=True)
    if own[cost].isna().all():
        axis.text(0.5, 0.5, "not simulated", transform=axis.transAxes, ha="center")
        return
    dense = own[own["method"] == "dense"]
    if len(dense):
        axis.axhline(100 * dense["accuracy"].iloc[0], color=colour("dense"), linewidth=0.8, linestyle="--")
    best = front(own, cost)
    axis.step(best[cost], 100 * best["accuracy"], where="post", color="#B8B8B8", linewidth=2.5, zorder=1)
    for method in dict.fromkeys(own["method"]):
        line = own[(own["method"] == method) & own[cost].notna()].sort_values(cost)
        if line.empty:
            continue
        name, shade, mark = _look(method)
        spread = [100 * (line["accuracy"] - line["low"]), 100 * (line["high"] - line["accuracy"])]
        axis.errorbar(
            line[cost],
            100 * line["accuracy"],
            yerr=spread,
            color=shade,
            linewidth=0.8,
            elinewidth=0.5,
            zorder=2,
            label="_",
        )
        axis.plot(line[cost], 100 * line["accuracy"], mark, color=shade, markersize=4.5, zorder=3, label=name)
        missed = line[line["status"] == "nearest"]
        axis.plot(
            missed[cost],
            100 * missed["accuracy"],
            mark,
            markerfacecolor="white",
            markeredgecolor=shade,
            markersize=4.5,
            zorder=4,
            label="_",
        )


def _scale(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())


def _look(method: str) -> tuple[str, str, str]:
    # Here "dense" is a method, not the array that other exhibits call by this name.
    return "Dense" if method == "dense" else label(method), colour(method), _MARKS.get(method, "d")


def _legend(panels: Any) -> tuple[list[Any], list[str]]:
    found: dict[str, Any] = {}
    for axis in panels.flatten():
        for handle, name in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(name, handle)
    return list(found.values()), list(found)


def _notes(found: pd.DataFrame) -> list[str]:
    notes = [
        "Bars: 95 % intervals (Wilson). Dashed: dense. Grey steps: Pareto front of the panel, intervals left aside.",
        "Cycles and energy: means over the traced questions.",
    ]
    if (found["status"] == "nearest").any():
        notes.append("Hollow: the method's budget parameter does not reach the budget; nearest value.")
    return notes
