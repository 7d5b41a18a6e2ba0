"""One page to look around in: every point with its settings, its metrics and the front, without a server."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from focal_common.errors import UnsupportedError
from focal_common.files import atomic_write_text
from focal_evaluation.exhibits.sweep_style import DOMINATED, FRONT, KNEE, metric_label, title
from focal_simulator.sweep.rows import Row
from focal_simulator.sweep.run import SweepResult

_MOST_POINTS = 10_000


def write_page(result: SweepResult, folder: Path) -> Path:
    """Write ``explore.html``: scatter of the objectives (in three dimensions, if there are three) and parallel axes.

    The plotting library is inside the page, which is therefore about 5 MB.

    Raises:
        UnsupportedError: Plotly is not installed.
        RunError: The folder cannot be written.
    """
    try:
        import plotly.io
    except ImportError as error:
        raise UnsupportedError(
            "the interactive page needs the package plotly; install it, or draw no figures",
            about=("figures",),
        ) from error
    rows, is_on_front = _thinned(result)
    scatter = _scatter(result, rows, is_on_front)
    parallel = _parallel(result, rows, is_on_front)
    options: dict[str, Any] = {"full_html": False, "validate": True}
    first = plotly.io.to_html(scatter, include_plotlyjs=True, div_id="objectives", **options)
    second = plotly.io.to_html(parallel, include_plotlyjs=False, div_id="axes", **options)
    heading = html.escape(title(result, "every point"))
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{heading}</title></head>\n'
        f"<body>\n<h3>{heading}</h3>\n<p>{html.escape(_sentence(result, len(rows)))}</p>\n{first}\n{second}\n"
        "</body></html>\n"
    )
    path = folder / "explore.html"
    atomic_write_text(path, page)
    return path


def _thinned(result: SweepResult) -> tuple[list[Row], list[bool]]:
    """Return at most so many points as a browser can take; the front stays whole."""
    front = result.front
    step = max(1, -(-len(result.feasible) // _MOST_POINTS))
    kept = [
        (row, bool(on_front))
        for place, (row, on_front) in enumerate(zip(result.feasible, front.is_on_front, strict=True))
        if on_front or place % step == 0
    ]
    return [row for row, _ in kept], [on_front for _, on_front in kept]


def _sentence(result: SweepResult, shown: int) -> str:
    counts = ", ".join(f"{number} {status}" for status, number in sorted(result.counts.items()))
    note = ""
    if shown < len(result.feasible):
        note = f"; {shown} are shown: the whole front, and every so many of the dominated points"
    return f"{result.plan.study.description} {len(result.rows)} points: {counts}{note}."


def _scatter(result: SweepResult, rows: list[Row], is_on_front: list[bool]) -> Any:
    import plotly.graph_objects as go

    study, knee = result.plan.study, result.front.knee
    metrics = [objective.metric for objective in study.objectives][:3]
    dimensions = dict(zip("xyz", metrics, strict=False))
    if len(metrics) == 1:
        dimensions = {"x": metrics[0], "y": "index"}
    trace = go.Scatter3d if len(dimensions) == 3 else go.Scatter
    groups = [
        ("dominated", [row for row, on in zip(rows, is_on_front, strict=True) if not on], DOMINATED, 3),
        ("front", [row for row, on in zip(rows, is_on_front, strict=True) if on], FRONT, 5),
        ("knee", [knee], KNEE, 10),
    ]
    figure = go.Figure()
    for name, members, colour, size in groups:
        figure.add_trace(
            trace(
                **{key: [row[metric] for row in members] for key, metric in dimensions.items()},
                mode="markers",
                name=name,
                marker={"color": colour, "size": size},
                text=[_hover(row, result) for row in members],
                hoverinfo="text",
            )
        )
    labels = {key: metric_label(result, metric).replace("\n", "<br>") for key, metric in dimensions.items()}
    if len(dimensions) == 3:
        figure.update_layout(
            scene={f"{key}axis": {"title": {"text": label}} for key, label in labels.items()}
        )
    else:
        figure.update_layout(**{f"{key}axis": {"title": {"text": label}} for key, label in labels.items()})
    figure.update_layout(height=620, template="plotly_white")
    return figure


def _parallel(result: SweepResult, rows: list[Row], is_on_front: list[bool]) -> Any:
    import plotly.graph_objects as go

    study = result.plan.study
    names = [*(axis.label for axis in study.axes), *(objective.metric for objective in study.objectives)]
    line = {
        "color": [int(on_front) for on_front in is_on_front],
        "colorscale": [[0, DOMINATED], [1, FRONT]],
    }
    figure = go.Figure(go.Parcoords(line=line, dimensions=[_dimension(name, rows) for name in names]))
    figure.update_layout(height=460, template="plotly_white")
    return figure


def _dimension(name: str, rows: list[Row]) -> dict[str, Any]:
    values = [row[name] for row in rows]
    if all(isinstance(value, int | float) for value in values):
        return {"label": name, "values": values}
    levels = list(dict.fromkeys(str(value) for value in values))
    places = [levels.index(str(value)) for value in values]
    return {"label": name, "values": places, "tickvals": list(range(len(levels))), "ticktext": levels}


def _hover(row: Row, result: SweepResult) -> str:
    study = result.plan.study
    names = [*(axis.label for axis in study.axes), *(objective.metric for objective in study.objectives)]
    cells = [f"{html.escape(name)}: {html.escape(str(row[name]))}" for name in names]
    return "<br>".join([f"point {row['index']}", *cells])
