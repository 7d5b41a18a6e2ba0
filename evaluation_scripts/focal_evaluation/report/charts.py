"""Interactive charts as data for plotly: names are text, never markup."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from focal_evaluation.exhibits.base import DONE
from focal_evaluation.exhibits.shared_rows import GEOMEAN, in_order
from focal_evaluation.exhibits.style import PARTS, base_of, colour, label, short
from focal_evaluation.report.layers import causes_of, roofline, roofs, utilisation_cdf

Chart = dict[str, Any]

CAUSE_COLOURS = (
    "#0072B2",
    "#56B4E9",
    "#999999",
    "#D55E00",
    "#E69F00",
    "#CC79A7",
    "#F0E442",
    "#009E73",
    "#7F3C8D",
    "#000000",
)
"""Of causes in their order; the array's own are blue and grey."""

_LONGEST = 28


def plain(name: str, longest: int = _LONGEST) -> str:
    """Return a name as text for plotly, which would read tags as markup."""
    return html.escape(short(name, longest), quote=False)


def _layout(**settings: Any) -> Chart:
    return {
        "margin": {"l": 70, "r": 20, "t": 30, "b": 90},
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": "#1a1a1a"},
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
        "legend": {"orientation": "h", "y": 1.12, "yanchor": "bottom"},
        **settings,
    }


def _axis(title: str, **settings: Any) -> Chart:
    return {
        "title": {"text": title},
        "gridcolor": "#dddddd",
        "linecolor": "#333333",
        "automargin": True,
        **settings,
    }


def _group(row: dict[Any, Any], between: str = " ") -> str:
    if row["model"] == GEOMEAN:
        return f"Geomean{between}{row['dataset']}"
    return f"{plain(row['dataset'])}{between}{plain(row['model'])}"


def _name(method: str) -> str:
    return html.escape(label(method), quote=False)


def _shades(frame: pd.DataFrame) -> dict[str, float]:
    """Return the opacity that tells rows of several runs of one accelerator apart."""
    marks: dict[str, list[str]] = {}
    for method in in_order(frame["method"]):
        marks.setdefault(base_of(method), []).append(method)
    return {name: 1.0 / (1 + 0.9 * place) for names in marks.values() for place, name in enumerate(names)}


def speedup_chart(frame: pd.DataFrame, column: str) -> Chart:
    """Return grouped bars of speed-up; rows without a number are left out and listed above the page."""
    done = frame[frame["status"] == DONE]
    # Places are numbers, because cut names of different models may be equal.
    groups = {(row["model"], row["dataset"]): _group(row, "<br>") for row in done.to_dict("records")}
    places = {pair: place for place, pair in enumerate(groups)}
    shades = _shades(done)
    traces = []
    for method in in_order(done["method"]):
        part = done[done["method"] == method].to_dict("records")
        traces.append(
            {
                "type": "bar",
                "name": _name(method),
                "x": [places[row["model"], row["dataset"]] for row in part],
                "y": [round(float(row[column]), 5) for row in part],
                "text": [_group(row) for row in part],
                "textposition": "none",
                "marker": {"color": colour(method), "opacity": shades[method]},
                "hovertemplate": "%{text}<br>%{y:.3f} x<extra>" + _name(method) + "</extra>",
            }
        )
    line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 1, "y1": 1}
    ticks = {"tickmode": "array", "tickvals": list(places.values()), "ticktext": list(groups.values())}
    layout = _layout(
        barmode="group",
        shapes=[{**line, "line": {"dash": "dash", "width": 1}}],
        xaxis=_axis("Workload", showgrid=False, zeroline=False, **ticks),
        yaxis=_axis("Speed-up over the dense systolic array [x]", rangemode="tozero"),
        height=460,
    )
    return {"data": traces, "layout": layout}


def _stacked(
    done: pd.DataFrame, parts: Sequence[tuple[str, str, Sequence[float | None]]], title: str, **axis: Any
) -> Chart:
    """Return horizontal stacked bars, one line per workload and accelerator with a gap between workloads."""
    records = done.to_dict("records")
    places: list[float] = []
    for number, row in enumerate(records):
        is_new = number and (row["model"], row["dataset"]) != (
            records[number - 1]["model"],
            records[number - 1]["dataset"],
        )
        places.append((places[-1] + (1.7 if is_new else 1.0)) if places else 0.0)
    names = [f"{_group(row)}: {_name(row['method'])}" for row in records]
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "name": name,
            "x": values,
            "y": places,
            "text": names,
            "textposition": "none",
            "marker": {"color": shade, "line": {"color": "#333333", "width": 0.4}},
            "hovertemplate": "%{text}<br>%{x:.4g}<extra>" + name + "</extra>",
        }
        for name, shade, values in parts
    ]
    last = places[-1] if places else 0.0
    layout = _layout(
        barmode="stack",
        bargap=0.12,
        xaxis=_axis(title, side="top", **axis),
        yaxis=_axis(
            "",
            tickmode="array",
            tickvals=places,
            ticktext=names,
            range=[last + 0.8, -0.8],
            showgrid=False,
            zeroline=False,
            tickfont={"size": 10},
        ),
        height=150 + int(15 * (last + 1)),
    )
    layout["legend"] = {"orientation": "h", "y": 0, "yanchor": "top", "traceorder": "normal"}
    layout["margin"] = {"l": 70, "r": 20, "t": 60, "b": 50}
    return {"data": traces, "layout": layout}


def _grouped(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that hold numbers, workload by workload and from left to right within."""
    done = frame[frame["status"] == DONE]
    pairs = list(zip(done["model"], done["dataset"], strict=True))
    order = {pair: place for place, pair in enumerate(dict.fromkeys(pairs))}
    ranks = {name: place for place, name in enumerate(in_order(done["method"]))}
    keyed = done.assign(_pair=[order[pair] for pair in pairs], _rank=done["method"].map(ranks))
    ordered = keyed.sort_values(["_pair", "_rank"], kind="stable", ignore_index=True)
    return ordered.drop(columns=["_pair", "_rank"])


def energy_chart(frame: pd.DataFrame) -> Chart:
    """Return stacked bars of core, buffer and DRAM energy relative to the dense total."""
    done = _grouped(frame)
    parts = [
        (title, shade, [round(float(value), 6) for value in done[name]])
        for name, (title, shade) in PARTS.items()
    ]
    return _stacked(done, parts, "Energy relative to the dense systolic array [-]", rangemode="tozero")


def cause_chart(rows: pd.DataFrame) -> Chart:
    """Return stacked bars of where the cycles of each run went, in percent of its cycles."""
    done = _grouped(rows)
    parts = []
    for place, cause in enumerate(causes_of(done)):
        share = 100 * done[f"{cause}_cycles"] / done["cycles"]
        if (share > 0).any():
            name = html.escape(cause.replace("_", " "), quote=False)
            values = [round(float(value), 4) if np.isfinite(value) else None for value in share]
            parts.append((name, CAUSE_COLOURS[place % len(CAUSE_COLOURS)], values))
    return _stacked(done, parts, "Share of cycles [%]", range=[0, 100])


_SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up", "star", "hexagon")


def roofline_chart(layers: pd.DataFrame) -> Chart:
    """Return the roofline: MACs per cycle of each layer over its MACs per DRAM byte."""
    points = roofline(layers)
    peak, rate = roofs(layers)
    low, high = float(points["macs_per_byte"].min()) / 2, float(points["macs_per_byte"].max()) * 2
    knee = peak / rate
    xs = sorted({low, min(max(knee, low), high), high})
    traces = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": f"roof: {peak:.0f} MAC/cycle, {rate:.0f} B/cycle",
            "x": xs,
            "y": [min(peak, rate * x) for x in xs],
            "line": {"color": "#000000", "width": 1.5},
            "hoverinfo": "skip",
        }
    ]
    for number, method in enumerate(in_order(points["method"])):
        part = points[points["method"] == method]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": _name(method),
                "x": [float(f"{value:.5g}") for value in part["macs_per_byte"]],
                "y": [float(f"{value:.5g}") for value in part["macs_per_cycle"]],
                "text": [f"{plain(row['layer'])}<br>{_group(row)}" for row in part.to_dict("records")],
                "marker": {
                    "color": colour(method),
                    "symbol": _SYMBOLS[number % len(_SYMBOLS)],
                    "size": 7,
                    "opacity": 0.7,
                },
                "hovertemplate": "%{text}<br>%{x:.3g} MAC/B, %{y:.4g} MAC/cycle<extra>"
                + _name(method)
                + "</extra>",
            }
        )
    layout = _layout(
        xaxis=_axis("Operational intensity [MAC per byte of DRAM]", type="log"),
        yaxis=_axis("Rate [MAC per cycle]", type="log"),
        height=520,
    )
    return {"data": traces, "layout": layout}


def cdf_chart(layers: pd.DataFrame) -> Chart:
    """Return the distribution of tile utilisation of each accelerator."""
    curves = utilisation_cdf(layers)
    traces = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": _name(method),
            "x": [round(float(value), 3) for value in curves[method][0]],
            "y": [round(float(value), 3) for value in curves[method][1]],
            "line": {"color": colour(method), "shape": "hv"},
            "hovertemplate": "%{y:.0f} % of tiles below %{x:.1f} %<extra>" + _name(method) + "</extra>",
        }
        for method in in_order(curves)
    ]
    layout = _layout(
        xaxis=_axis("Tile utilisation: share of array cycles in which rows stream [%]"),
        yaxis=_axis("Share of tiles [%]", range=[0, 100]),
        height=460,
    )
    return {"data": traces, "layout": layout}
