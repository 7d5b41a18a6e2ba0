"""Pictures of the study, each drawn from one table beside it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from focal.studies.sparsezip.results import Results
from focal_evaluation.exhibits.style import PAGE_INCHES, new_figure, save, style

COLOURS = {
    "visionzip": "#0072B2",
    "sparsezip": "#D55E00",
    "sparsevlm": "#009E73",
    "random": "#999999",
    "dense": "#000000",
}
"""Okabe and Ito's palette, told apart with any colour vision; markers differ too."""

LABELS = {
    "visionzip": "VisionZip",
    "sparsezip": "SparseZip",
    "sparsevlm": "SparseVLM",
    "random": "random",
    "visionzip_placed": "VisionZip, positions kept",
    "sparsezip_placed": "SparseZip, positions kept",
    "sparsevlm2": "SparseVLM 2.0",
    "random_placed": "random, positions kept",
}
"""Methods as published (dashed), then those that keep positions (solid)."""
_MARKERS = {"visionzip": "o", "sparsezip": "s", "sparsevlm": "^", "random": "x", "dense": "."}
_EFFECTS = {"text awareness": "#0072B2", "timing": "#D55E00", "interaction": "#009E73"}
_NOTE = "measured, offline model on procedural benchmarks; bars: 95 % intervals"
_SIDE_BUDGET = 64


def write_figures(results: Results) -> list[Path]:
    """Draw every picture whose table is there; equal tables give equal bytes."""
    drawn: dict[str, tuple[tuple[str, ...], Callable[[Results], Any]]] = {
        "budget_curve": (("accuracy", "pairs"), _curve),
        "two_by_two": (("effects",), _effects),
        "subtasks": (("pairs",), _subtasks),
        "adaptive_k": (("adaptive_k",), _adaptive),
        "sweep": (("sweep",), _sweep),
        "latency": (("latency", "latency_by_length"), _latency),
    }
    written: list[Path] = []
    for name, (needs, draw) in drawn.items():
        if all(results.has(table) for table in needs):
            with style():
                written += save(draw(results), results.folder / name, ("png",))
    return written


def _curve(results: Results) -> Any:
    accuracy = results.tables["accuracy"].merge(results.configurations, on="configuration")
    accuracy = accuracy[accuracy["part"] == "curve"]
    groups = [name for name in accuracy["group"].unique() if " " not in name]
    figure = new_figure(PAGE_INCHES, 3.2)
    axes = figure.subplots(1, len(groups), squeeze=False)[0]
    for axis, group in zip(axes, groups, strict=True):
        own = accuracy[accuracy["group"] == group]
        for _, dense in own[own["method"] == "dense"].iterrows():
            axis.axhspan(100 * dense["low"], 100 * dense["high"], color="#DDDDDD", lw=0)
            axis.axhline(100 * dense["accuracy"], color=COLOURS["dense"], lw=0.8, label="dense, all tokens")
        for index, method in enumerate(LABELS):
            rows = own[own["configuration"].str.startswith(f"{method}-")].sort_values("budget")
            at = rows["visual_tokens"] * (1 + 0.008 * (index - 3.5))
            _bars(axis, at, rows, "accuracy", index, method, ls="-" if index > 3 else "--")
        axis.axhline(50, color="#666666", lw=0.6, ls=":")
        axis.set(title=group, xlabel="visual tokens, mean over layers", ylabel="accuracy [%]", xscale="log")
        ticks = sorted(own.loc[own["budget"] > 0, "budget"].unique())
        axis.set_xticks(ticks, [str(budget) for budget in ticks])
        axis.minorticks_off()
        axis.grid(visible=True)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5)
    figure.suptitle(f"Accuracy at equal budgets ({_NOTE}; dotted: chance)", fontsize=7)
    return figure


def _bars(axis: Any, at: Any, rows: pd.DataFrame, value: str, index: int, method: str, **line: Any) -> None:
    """Draw the values of a method in percent with their intervals; forms as published are hollow."""
    if rows.empty:
        return
    base = method.removesuffix("_placed").removesuffix("2")
    axis.errorbar(
        at, 100 * rows[value], yerr=_errors(rows, value), label=LABELS[method], color=COLOURS[base],
        marker=_MARKERS[base], markerfacecolor=None if index > 3 else "white", capsize=1.5, elinewidth=0.6, **line,
    )  # fmt: skip


def _errors(rows: pd.DataFrame, value: str) -> list[Any]:
    """Return how far the interval reaches below and above each value, in percent."""
    values = 100 * rows[value]
    return [values - 100 * rows["low"], 100 * rows["high"] - values]


def _effects(results: Results) -> Any:
    table = results.tables["effects"]
    groups = [name for name in table["group"].unique() if " " not in name]
    forms, budgets = list(table["equal"].unique()), sorted(table["budget"].unique())
    figure = new_figure(PAGE_INCHES, 2.1 * len(forms))
    axes = figure.subplots(len(forms), len(groups), squeeze=False, sharey=True)
    for (row, form), (column, group) in product(enumerate(forms), enumerate(groups)):
        axis = axes[row][column]
        for index, (effect, colour) in enumerate(_EFFECTS.items()):
            own = table[(table["equal"] == form) & (table["group"] == group) & (table["effect"] == effect)]
            at = [budgets.index(budget) + 0.2 * (index - 1) for budget in own["budget"]]
            axis.errorbar(
                at, 100 * own["value"], yerr=_errors(own, "value"), fmt="os^"[index], color=colour, capsize=2,
                elinewidth=0.8, label=effect,
            )  # fmt: skip
        axis.axhline(0, color="#000000", lw=0.6)
        axis.set(title=f"{group}, equal {form}", xlabel="visual tokens", ylabel="effect [points]")
        axis.set_xticks(range(len(budgets)), [str(budget) for budget in budgets])
        axis.grid(visible=True, axis="y")
    axes[0][0].legend(loc="best")
    figure.suptitle(f"Text awareness and timing, 2 x 2 ({_NOTE})", fontsize=7)
    return figure


def _subtasks(results: Results) -> Any:
    table = results.tables["pairs"]
    table = table[(table["part"] == "against dense") & table["group"].str.contains(" ")]
    table = table[table["first"].str.endswith(f"-{_SIDE_BUDGET}")]
    groups = list(table["group"].unique())
    figure = new_figure(PAGE_INCHES, 3.2)
    axis = figure.subplots()
    for index, method in enumerate(LABELS):
        rows = table[table["first"] == f"{method}-{_SIDE_BUDGET}"]
        at = [groups.index(group) + 0.1 * (index - 3.5) for group in rows["group"]]
        _bars(axis, at, rows, "difference", index, method, ls="")
    axis.axhline(0, color="#000000", lw=0.6)
    axis.set_xticks(range(len(groups)), [name.replace("shapes-", "").replace(" ", "\n") for name in groups])
    axis.set(
        ylabel="accuracy minus dense [points]",
        title=f"Per variant and sub-task at {_SIDE_BUDGET} tokens ({_NOTE})",
    )
    axis.grid(visible=True, axis="y")
    figure.legend(loc="outside lower center", ncols=4)
    return figure


def _adaptive(results: Results) -> Any:
    counts, facts = results.tables["adaptive_k"], results.tables["adaptive"]
    names = list(counts["configuration"].unique())
    figure = new_figure(PAGE_INCHES, 2.0)
    axes = figure.subplots(1, len(names), squeeze=False)[0]
    for axis, name in zip(axes, names, strict=True):
        own = facts[facts["configuration"] == name].iloc[0]
        bins = list(range(int(own["k_min"]), int(own["k_max"]) + 5, 4))
        axis.hist(counts.loc[counts["configuration"] == name, "k"], bins=bins, color=COLOURS["sparsezip"])
        axis.axvline(own["k_mean"], color="#000000", lw=0.8)
        total = f"mean total {own['total_mean']:.1f}, aimed {own['aimed_total']}"
        axis.set(xlabel="K, dominant tokens", ylabel="pictures", title=f"{name}: {total}")
    return figure


def _sweep(results: Results) -> Any:
    table = results.tables["sweep"]
    table = table[table["status"] == "done"]
    benchmarks = [name.removesuffix(" accuracy") for name in table if str(name).endswith(" accuracy")]
    figure = new_figure(PAGE_INCHES, 2.6)
    budget = int(results.tables["sweep"]["budget"].iloc[0])
    panels = [("coverage", "share of CLS attention kept"), ("error", "reconstruction error of the rest")]
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    colours = ("#0072B2", "#D55E00")
    for axis, (proxy, words) in zip(axes, panels, strict=True):
        for colour, marker, benchmark in zip(colours, "os", benchmarks, strict=False):
            values = 100 * table[f"{benchmark} accuracy"]
            front = table["is_on_front"].astype(bool)
            axis.scatter(
                table[proxy], values, s=10, marker=marker, facecolors="none", edgecolors=colour, lw=0.7
            )
            axis.scatter(
                table.loc[front, proxy], values[front], s=14, marker=marker, color=colour,
                label=f"{benchmark} (filled: on the front)",
            )  # fmt: skip
        axis.set(xlabel=words, ylabel="accuracy [%]")
        axis.grid(visible=True)
    axes[0].legend(loc="best")
    figure.suptitle(f"Sweep at {budget} visual tokens: does a proxy predict accuracy? (measured)", fontsize=7)
    return figure


def _latency(results: Results) -> Any:
    phases, lengths = results.tables["latency"], results.tables["latency_by_length"]
    figure = new_figure(PAGE_INCHES, 2.4)
    first, second = figure.subplots(1, 2)
    bottom = pd.Series(0.0, index=phases.index)
    colours = ("#56B4E9", "#D55E00", "#F0E442", "#0072B2")
    for phase, colour in zip(("vision", "compress", "projector", "prefill"), colours, strict=True):
        first.bar(phases["configuration"], phases[f"{phase}_ms"], bottom=bottom, color=colour, label=phase)
        bottom = bottom + phases[f"{phase}_ms"]
    first.set(ylabel="milliseconds", title="Before the first word (median)")
    first.tick_params(axis="x", labelrotation=20)
    first.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    for name, own in lengths.groupby("configuration", sort=False):
        method = str(name).partition("-")[0]
        second.plot(
            own["new_tokens"], own["total_ms"], color=COLOURS[method], marker=_MARKERS[method], label=str(name)
        )  # fmt: skip
    second.set(xlabel="new tokens", ylabel="milliseconds", title="Whole answer of a fixed length (median)")
    second.legend(loc="best")
    second.grid(visible=True)
    figure.suptitle("Latency, measured on the machine that wrote the tables", fontsize=7)
    return figure
