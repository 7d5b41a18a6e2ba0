"""What the pictures of studies share: canvas, saving, colours and words."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from focal_common.files import atomic_path
from focal_simulator.sweep.run import SweepResult

FRONT, KNEE, DOMINATED = "#0072B2", "#D55E00", "#B8B8B8"
SERIES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999")
"""Okabe and Ito's palette, told apart with any colour vision."""

_WORDS = {
    "seconds": "time",
    "total_mj": "energy",
    "edp_mj_s": "energy-delay product",
    "area_mm2": "area",
    "accuracy": "accuracy",
    "buffer_bytes": "buffer capacity",
}
_TITLE_POINTS = 9
_POINTS_PER_INCH = 72
_CHARACTER_WIDTH = 0.6
"""Of a letter of the default font, as a share of its height; wider than most, so that lines stay inside."""

_NEEDS_NO_WORD = ("measured", "published")


def metric_label(result: SweepResult, name: str) -> str:
    """Return a metric with its unit for an axis, and on a second line where it comes from unless it is simulated."""
    unit, source = result.plan.unit(name), result.plan.source(name)
    words = _WORDS.get(name, name.replace("_", " "))
    return (f"{words} [{unit}]" if unit else words) + (f"\n({source})" if source else "")


def put_title(figure: Any, text: str) -> None:
    """Write a heading above a figure, on as many lines as its width asks for."""
    characters = int(figure.get_figwidth() * _POINTS_PER_INCH / (_TITLE_POINTS * _CHARACTER_WIDTH))
    figure.suptitle("\n".join(textwrap.wrap(text, characters)), fontsize=_TITLE_POINTS)


def new_figure(width: float, height: float) -> Any:
    """Return a figure that draws without a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Any, folder: Path, name: str) -> list[Path]:
    """Write a figure as PDF and PNG without clock or version, so that equal content gives equal bytes."""
    paths = []
    metadata = {
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
        "png": {"Software": None},
    }
    for kind in ("pdf", "png"):
        path = folder / f"{name}.{kind}"
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format=kind, dpi=110, metadata=metadata[kind])
        paths.append(path)
    return paths


def title(result: SweepResult, what: str) -> str:
    """Return a heading that names study, fidelity, and counts that were not measured."""
    study = result.plan.study
    origins = [origin for origin in result.origins if origin not in _NEEDS_NO_WORD]
    note = f"; counts: {', '.join(origins)}" if origins else ""
    return f"{study.name}: {what} ({study.fidelity}{note})"
