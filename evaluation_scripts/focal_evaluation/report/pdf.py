"""The static figures of a report as one PDF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from focal_common.errors import TraceError
from focal_evaluation.exhibits import fig9a, fig9b
from focal_evaluation.exhibits.base import DONE
from focal_evaluation.exhibits.charts import foot, legend_above, methods_of
from focal_evaluation.exhibits.shared_rows import in_order
from focal_evaluation.exhibits.style import PAGE_INCHES, colour, label, new_figure, save_pages, short, style
from focal_evaluation.report.charts import CAUSE_COLOURS
from focal_evaluation.report.layers import causes_of, heat_maps, roofline, roofs, utilisation_cdf
from focal_evaluation.report.runs import RunSet, ratio_frames

_MARKS = "osD^vPX*"
_GROUPS_PER_PAGE = 12
_MOST_MAPS = 24
"""Heat maps beyond this many are in the HTML page only."""


def write_pdf(found: RunSet, output: Path) -> None:
    """Write speed-up, energy, roofline, causes, utilisation and heat maps, one page each.

    Raises:
        TraceError: There is nothing to draw.
        RunError: The file cannot be written.
    """
    notes = [_origins(found), *([f"Partial: {'; '.join(found.gaps)}."] if found.gaps else [])]
    pages: list[Any] = []
    with style():
        frames = ratio_frames(found)
        if frames is not None:
            pages += _bar_pages(frames[0], fig9a.bars, False, notes)
            pages += _bar_pages(frames[1], fig9b.bars, True, notes)
        if causes_of(found.rows):
            pages.append(_cause_page(found.rows, notes))
        if not found.layers.empty:
            pages += [_roofline_page(found.layers, notes), _cdf_page(found.layers, notes)]
            pages += [_map_page(one, notes) for one in heat_maps(found.layers)[:_MOST_MAPS]]
        if not pages:
            raise TraceError("nothing to draw: no ratio over the dense array and no timed layers")
        save_pages(pages, output)


def _origins(found: RunSet) -> str:
    levels = " and ".join(sorted(found.rows["fidelity"].unique()))
    origins = "; ".join(sorted({one for one in found.rows["origin"] if one}))
    return f"Simulated, fidelity {levels}; counts: {origins}. Ratios: each row over dense in its own run."


def _bar_pages(frame: pd.DataFrame, bars: Any, parts: bool, notes: list[str]) -> list[Any]:
    pairs = list(dict.fromkeys(zip(frame["model"], frame["dataset"], strict=True)))
    pages = []
    for start in range(0, len(pairs), _GROUPS_PER_PAGE):
        chosen = set(pairs[start : start + _GROUPS_PER_PAGE])
        is_here = [pair in chosen for pair in zip(frame["model"], frame["dataset"], strict=True)]
        figure = new_figure(PAGE_INCHES, 2.8)
        axis = figure.subplots()
        bars(axis, frame[is_here])
        if len(chosen) > 9:
            axis.tick_params(axis="x", labelsize=4.6)
        legend_above(axis, methods_of(frame), 6, parts=parts)
        foot(figure, notes)
        pages.append(figure)
    return pages


def _cause_page(rows: pd.DataFrame, notes: list[str]) -> Any:
    done = rows[rows["status"] == DONE].reset_index(drop=True)
    figure = new_figure(PAGE_INCHES, 0.9 + 0.115 * len(done))
    axis = figure.subplots()
    left = np.zeros(len(done))
    for place, cause in enumerate(causes_of(done)):
        share = np.nan_to_num(100 * (done[f"{cause}_cycles"] / done["cycles"]).to_numpy(dtype=float))
        if share.any():
            axis.barh(
                range(len(done)),
                share,
                0.8,
                left=left,
                color=CAUSE_COLOURS[place % len(CAUSE_COLOURS)],
                label=cause.replace("_", " "),
            )
            left += share
    names = [
        f"{short(row['dataset'])}, {short(row['model'])}: {short(label(row['method']), 24)}"
        for row in done.to_dict("records")
    ]
    axis.set_yticks(range(len(done)), names, fontsize=4.8)
    axis.invert_yaxis()
    axis.margins(y=0.005)
    axis.set_xlim(0, 100)
    axis.set_xlabel("Share of cycles [%]")
    axis.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=7, fontsize=5.5)
    foot(figure, notes)
    return figure


def _roofline_page(layers: pd.DataFrame, notes: list[str]) -> Any:
    points = roofline(layers)
    peak, rate = roofs(layers)
    figure = new_figure(PAGE_INCHES, 3.6)
    axis = figure.subplots()
    xs = np.geomspace(points["macs_per_byte"].min() / 2, points["macs_per_byte"].max() * 2, 100)
    axis.plot(
        xs, np.minimum(peak, rate * xs), color="black", label=f"{peak:.0f} MAC/cycle, {rate:.0f} B/cycle"
    )
    for number, method in enumerate(in_order(points["method"])):
        part = points[points["method"] == method]
        axis.scatter(
            part["macs_per_byte"],
            part["macs_per_cycle"],
            s=9,
            alpha=0.7,
            color=colour(method),
            marker=_MARKS[number % len(_MARKS)],
            linewidths=0,
            label=label(method),
        )
    axis.set_xscale("log")
    axis.set_yscale("log")
    for scale in (axis.xaxis, axis.yaxis):
        # The usual labels are mathematics, which names of models must not be read as.
        scale.set_major_formatter(lambda value, _: f"{value:g}")
        scale.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
    axis.set_xlabel("Operational intensity [MAC per byte of DRAM]")
    axis.set_ylabel("Rate [MAC per cycle]")
    axis.grid(True, which="both")
    axis.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4)
    foot(figure, ["Each mark is one layer of one workload, summed over decoder blocks.", *notes])
    return figure


def _cdf_page(layers: pd.DataFrame, notes: list[str]) -> Any:
    figure = new_figure(PAGE_INCHES, 3.0)
    axis = figure.subplots()
    curves = utilisation_cdf(layers)
    for method in in_order(curves):
        values, shares = curves[method]
        axis.step(values, shares, where="post", color=colour(method), label=label(method))
    axis.set_xlabel("Tile utilisation: share of array cycles in which rows stream [%]")
    axis.set_ylabel("Share of tiles [%]")
    axis.set_ylim(0, 100)
    axis.grid(True)
    axis.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=6)
    foot(figure, notes)
    return figure


def _map_page(one: dict[str, Any], notes: list[str]) -> Any:
    figure = new_figure(PAGE_INCHES, 2.5)
    heading = f"{short(one['dataset'], 24)}, {short(one['model'], 24)}: {label(one['method'])}"
    for axis, (title, key) in zip(
        figure.subplots(1, 2),
        (("MACs saved [%]", "sparsity"), ("Stalls, share of cycles [%]", "stalls")),
        strict=True,
    ):
        values = np.array(
            [[np.nan if cell is None else cell for cell in row] for row in one[key]], dtype=float
        )
        image = axis.imshow(values, vmin=0, vmax=100, cmap="cividis", aspect="auto", interpolation="nearest")
        axis.set_yticks(range(len(one["layers"])), one["layers"], fontsize=5.5)
        step = max(1, len(one["blocks"]) // 14)
        axis.set_xticks(range(0, len(one["blocks"]), step), one["blocks"][::step], fontsize=5.5)
        axis.set_xlabel("Decoder block")
        axis.set_title(title)
        figure.colorbar(image, ax=axis, pad=0.02)
    figure.suptitle(heading, fontsize=7.5)
    foot(figure, notes)
    return figure
