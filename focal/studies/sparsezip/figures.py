"""Pictures of the study, each drawn from one table beside it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from focal.studies.sparsezip.results import Results
from focal_evaluation.exhibits.style import PAGE_INCHES, new_figure, save, style

__all__ = ["COLOURS", "LABELS", "write_figures"]

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
        dense = own[own["method"] == "dense"]
        if len(dense):
            one = dense.iloc[0]
            axis.axhspan(100 * one["low"], 100 * one["high"], color="#DDDDDD", lw=0)
            axis.axhline(100 * one["accuracy"], color=COLOURS["dense"], lw=0.8, label="dense, all tokens")
        for place, method in enumerate(LABELS):
            rows = own[own["configuration"].str.startswith(f"{method}-")].sort_values("budget")
            if rows.empty:
                continue
            values = 100 * rows["accuracy"]
            errors = [values - 100 * rows["low"], 100 * rows["high"] - values]
            axis.errorbar(
                rows["visual_tokens"] * (1 + 0.008 * (place - 3.5)), values, yerr=errors, label=LABELS[method],
                color=COLOURS[_base(method)], marker=_MARKERS[_base(method)], capsize=1.5, elinewidth=0.6,
                ls="-" if place > 3 else "--", markerfacecolor=None if place > 3 else "white",
            )  # fmt: skip
        axis.axhline(50, color="#666666", lw=0.6, ls=":")
        axis.set(title=group, xlabel="visual tokens, mean over layers", ylabel="accuracy [%]", xscale="log")
        ticks = sorted(own.loc[own["budget"] > 0, "budget"].unique())
        axis.set_xticks(ticks, [str(one) for one in ticks])
        axis.minorticks_off()
        axis.grid(visible=True)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5)
    figure.suptitle(f"Accuracy at equal budgets ({_NOTE}; dotted: chance)", fontsize=7)
    return figure


def _base(method: str) -> str:
    """Return the method whose colour and marker a form of it has."""
    return method.removesuffix("_placed").removesuffix("2")


def _effects(results: Results) -> Any:
    table = results.tables["effects"]
    groups = [name for name in table["group"].unique() if " " not in name]
    forms = list(table["equal"].unique())
    figure = new_figure(PAGE_INCHES, 2.1 * len(forms))
    axes = figure.subplots(len(forms), len(groups), squeeze=False, sharey=True)
    budgets = sorted(table["budget"].unique())
    for (row, form), (column, group) in product(enumerate(forms), enumerate(groups)):
        axis = axes[row][column]
        for place, (effect, colour) in enumerate(_EFFECTS.items()):
            own = table[(table["equal"] == form) & (table["group"] == group) & (table["effect"] == effect)]
            at = [budgets.index(one) + 0.2 * (place - 1) for one in own["budget"]]
            values = 100 * own["value"]
            errors = [values - 100 * own["low"], 100 * own["high"] - values]
            axis.errorbar(
                at, values, yerr=errors, fmt="os^"[place], color=colour, capsize=2, elinewidth=0.8, label=effect
            )  # fmt: skip
        axis.axhline(0, color="#000000", lw=0.6)
        axis.set(title=f"{group}, equal {form}", xlabel="visual tokens", ylabel="effect [points]")
        axis.set_xticks(range(len(budgets)), [str(one) for one in budgets])
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
    for place, method in enumerate(LABELS):
        own = table[table["first"] == f"{method}-{_SIDE_BUDGET}"]
        if own.empty:
            continue
        at = [groups.index(one) + 0.1 * (place - 3.5) for one in own["group"]]
        values = 100 * own["difference"]
        errors = [values - 100 * own["low"], 100 * own["high"] - values]
        axis.errorbar(
            at, values, yerr=errors, fmt=_MARKERS[_base(method)], color=COLOURS[_base(method)], capsize=1.5,
            elinewidth=0.6, label=LABELS[method], markerfacecolor=None if place > 3 else "white",
        )  # fmt: skip
    axis.axhline(0, color="#000000", lw=0.6)
    axis.set_xticks(range(len(groups)), [one.replace("shapes-", "").replace(" ", "\n") for one in groups])
    axis.set(
        ylabel="accuracy less dense [points]",
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
        bins = range(int(own["k_min"]), int(own["k_max"]) + 5, 4)
        axis.hist(
            counts.loc[counts["configuration"] == name, "k"], bins=list(bins), color=COLOURS["sparsezip"]
        )
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
