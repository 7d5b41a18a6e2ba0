"""The figure beside every result folder: speed-up bars and stacked energy bars, both relative to dense.

Shows what Figure 9 of the Focus paper (HPCA 2026) shows, for whatever was simulated. Each bar is the ratio that its own
run took over the dense array.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from focal_common.errors import ConfigError
from focal_common.files import atomic_path
from focal_simulator.results.ratios import ENERGY, SPEEDUP

Pair = tuple[str, str]
Bar = dict[str, float]
"""Speed-up and the three energy parts of one accelerator on one workload, all relative to dense."""

_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
"""Okabe and Ito's palette, told apart with any colour vision."""

_PARTS = (("core", "#555555", ""), ("buffer", "#B0D8F0", "//"), ("DRAM", "#F2E2B0", ".."))
_MEASURED = ("measured", "published")
_GIVEN = "given"  # GEMMs that a user lists
_LEFT_TO_RIGHT = ("dense", "adaptiv", "cmc", "focus_sec_only", "focus")


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean of positive numbers."""
    return math.exp(math.fsum(math.log(value) for value in values) / len(values))


def draw(rows: Sequence[Mapping[str, Any]], order: Sequence[Pair], path: Path) -> None:
    """Draw the figure as PNG; equal rows give equal bytes.

    Args:
        rows: Result rows; see `bars_of`.
        order: Workloads from left to right.
        path: Where to write.

    Raises:
        ConfigError: See `bars_of`.
        RunError: The file cannot be written.
    """
    figure = bar_figure(*bars_of(rows), order)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110, metadata={"Software": None})


def bars_of(rows: Sequence[Mapping[str, Any]]) -> tuple[dict[str, dict[Pair, Bar]], set[str]]:
    """Return bars relative to the dense array by accelerator and (model, dataset), and the origins that occur.

    Args:
        rows: Result rows, cells as numbers or text; those without a ratio have no bar.

    Raises:
        ConfigError: A cell is zero or no number.
    """
    bars: dict[str, dict[Pair, Bar]] = {}
    for row in rows:
        if row[SPEEDUP] in ("", None) or row[ENERGY] in ("", None):
            continue
        pair, name = (row["model"], row["dataset"]), row["accelerator"]
        try:
            # The row's own energy over the dense energy of its run, split as the row is.
            dense_mj = float(row["energy_mj"]) / float(row[ENERGY])
            bars.setdefault(name, {})[pair] = {
                "speed-up": float(row[SPEEDUP]),
                "core": float(row["core_energy_mj"]) / dense_mj,
                "buffer": float(row["sram_energy_mj"]) / dense_mj,
                "DRAM": float(row["dram_energy_mj"]) / dense_mj,
            }
        except (ValueError, ZeroDivisionError) as error:
            raise ConfigError(
                f"{'/'.join(pair)} on {name}: a ratio or energy is zero or no number ({error})"
            ) from error
    return bars, {str(row["origin"]) for row in rows}


def bar_figure(bars: Mapping[str, Mapping[Pair, Bar]], origins: set[str], order: Sequence[Pair]) -> Any:
    """Return the figure of bars relative to dense, as a matplotlib figure.

    Args:
        bars: By accelerator and (model, dataset); see `bars_of`.
        origins: That occur.
        order: Workloads from left to right.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = sorted(bars, key=lambda name: (_place(name), name))
    pairs = [pair for pair in order if any(pair in bars[name] for name in names)]
    groups = [f"{model}\n{dataset}" for model, dataset in pairs]
    figure = Figure(figsize=(max(7.0, 1.6 + 0.22 * len(names) * (len(pairs) + 1)), 6.4), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True)
    width = 0.8 / max(len(names), 1)
    # Means of different workloads must not stand side by side.
    shared = [pair for pair in pairs if all(pair in bars[name] for name in names)]
    has_mean = len(shared) > 1
    for number, name in enumerate(names):
        offset = (number - (len(names) - 1) / 2) * width
        found = [(place, bars[name][pair]) for place, pair in enumerate(pairs) if pair in bars[name]]
        if not found:
            continue
        places = [place + offset for place, _ in found]
        columns = [bar for _, bar in found]
        if has_mean:
            places.append(len(pairs) + offset)
            columns.append(_mean([bars[name][pair] for pair in shared]))
        _draw_series(upper, lower, places, columns, width, f"{name} ({len(found)})", _colour(name))
    if has_mean:
        groups.append(f"geomean\nof {len(shared)} shared")
    _label(figure, upper, lower, groups, len(pairs) if has_mean else None, origins)
    return figure


def _draw_series(
    upper: Any,
    lower: Any,
    places: list[float],
    columns: list[Bar],
    width: float,
    label: str,
    colour: str,
) -> None:
    heights = [column["speed-up"] for column in columns]
    upper.bar(places, heights, 0.9 * width, color=colour, label=label)
    upper.text(
        places[-1], heights[-1], f"{heights[-1]:.2f}", ha="center", va="bottom", fontsize=6, rotation=90
    )
    base = [0.0] * len(columns)
    for part, shade, hatch in _PARTS:
        sizes = [column[part] for column in columns]
        lower.bar(
            places,
            sizes,
            0.9 * width,
            bottom=base,
            color=shade,
            hatch=hatch,
            edgecolor=colour,
            linewidth=0.8,
        )
        base = [below + size for below, size in zip(base, sizes, strict=True)]
    lower.text(places[-1], base[-1], f" {base[-1]:.2f}", ha="center", va="bottom", fontsize=6, rotation=90)


def _mean(columns: list[Bar]) -> Bar:
    """Return the geometric mean of speed-up and of total energy, the latter split by the mean shares."""
    parts = [part for part, _, _ in _PARTS]
    totals = [math.fsum(column[part] for part in parts) for column in columns]
    height = geometric_mean(totals)
    mean = {"speed-up": geometric_mean([column["speed-up"] for column in columns])}
    for part in parts:
        shares = [column[part] / total for column, total in zip(columns, totals, strict=True)]
        mean[part] = height * math.fsum(shares) / len(shares)
    return mean


def _label(
    figure: Any, upper: Any, lower: Any, groups: list[str], mean_place: int | None, origins: set[str]
) -> None:
    from matplotlib.patches import Patch

    upper.axhline(1.0, color="black", linewidth=0.6, linestyle="--")
    lower.axhline(1.0, color="black", linewidth=0.6, linestyle="--")
    for axis in (upper, lower):
        if mean_place is not None:
            axis.axvline(mean_place - 0.5, color="grey", linewidth=0.6)
        axis.margins(x=0.01, y=0.14)
        axis.set_axisbelow(True)
        axis.grid(axis="y", linewidth=0.3)
    upper.set_ylabel("Speed-up over dense [x]")
    lower.set_ylabel("Energy relative to dense [-]")
    lower.set_xticks(range(len(groups)), groups, fontsize=7)
    # Not "best": its search is slow and may move between versions.
    # Above the axes, because bars of any height may stand below a legend inside.
    outside = {"fontsize": 7, "loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "frameon": False}
    upper.legend(title="accelerator (workloads)", title_fontsize=7, ncols=5, **outside)
    parts = [Patch(facecolor=shade, hatch=hatch, label=part) for part, shade, hatch in _PARTS]
    lower.legend(handles=parts, ncols=3, **outside)
    made_up = sorted(origins - {*_MEASURED, _GIVEN})
    note = f" - counts: {'; '.join(made_up)}" if made_up else ""
    title = f"Simulated {what_ran(origins)}{note}"
    basis = "Speed-up and energy over dense in the same run; manifest.json says under which settings"
    figure.suptitle(f"{title}\n{basis}", fontsize=9)


def what_ran(origins: set[str]) -> str:
    """Return what rows of these origins are of, in words for titles."""
    kinds = ["prefill of the language model, visual tokens only"] if origins - {_GIVEN} else []
    return "; ".join([*kinds, *(["lists of GEMMs"] if _GIVEN in origins else [])])


def _colour(name: str) -> str:
    """Return the same colour for an accelerator in every figure."""
    if name in _LEFT_TO_RIGHT:
        return _COLOURS[_LEFT_TO_RIGHT.index(name)]
    others = _COLOURS[len(_LEFT_TO_RIGHT) :]
    return others[sum(name.encode()) % len(others)]


def _place(name: str) -> int:
    return _LEFT_TO_RIGHT.index(name) if name in _LEFT_TO_RIGHT else len(_LEFT_TO_RIGHT)
