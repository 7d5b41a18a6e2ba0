"""How every exhibit looks: sizes, colours that any colour vision tells apart, short names, and equal bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from focal_common.files import atomic_path

COLUMN_INCHES, PAGE_INCHES = 3.3, 7.0
"""Widths of one and of two columns of a conference page."""

FORMATS = ("pdf", "png", "svg")

METHODS = {
    "dense": ("Systolic array", "#999999", ""),
    "gpu": ("GPU", "#56B4E9", "///"),
    "adaptiv": ("AdapTiV", "#E69F00", ""),
    "cmc": ("CMC", "#009E73", ""),
    "gpu_framefusion": ("GPU + FrameFusion", "#F0E442", "///"),
    "framefusion": ("FrameFusion", "#F0E442", ""),
    "focus_sec_only": ("Focus, SEC only", "#CC79A7", "..."),
    "focus": ("Focus", "#0072B2", "..."),
    "cdpruner": ("CDPruner", "#332288", ""),
    "dart": ("DART", "#882255", ""),
    "dart_edge": ("DART, Edge-LLM form", "#882255", ""),
    "divprune": ("DivPrune", "#117733", ""),
    "dycoke": ("DyCoke", "#44AA99", ""),
    "evs": ("EVS", "#AA4499", ""),
    "fastv": ("FastV", "#661100", ""),
    "fastvid": ("FastVID", "#6699CC", ""),
    "holitom": ("HoliTom", "#999933", ""),
    "prumerge": ("PruMerge", "#C4A000", ""),
    "prumerge_plus": ("PruMerge+", "#CC6677", ""),
    "pyramiddrop": ("PyramidDrop", "#A65628", ""),
    "sparsevlm": ("SparseVLM", "#D55E00", ""),
    "sparsezip": ("SparseZip", "#56B4E9", ""),
    "sparsezip_placed": ("SparseZip, positions kept", "#56B4E9", ""),
    "visionzip": ("VisionZip", "#000000", ""),
    "visionzip_placed": ("VisionZip, positions kept", "#000000", ""),
}
"""Label, colour (Okabe and Ito, then Tol) and hatch; hatched bars are published measurements (lines) or rest on
synthetic counts (dots) in the published reproduction, and tell series apart in grey."""

PARTS = {"core": ("Core", "#4D4D4D"), "buffer": ("Buffer", "#A6A6A6"), "dram": ("DRAM", "#E6E6E6")}
"""Label and colour of the three parts of energy."""

_SPARE_COLOURS = ("#D55E00", "#7F3C8D", "#117733", "#882255")

_NAMES = {
    "llava_vid": "LLaVA-Video",
    "llava_onevision": "LLaVA-OV",
    "minicpm_v": "MiniCPM-V",
    "qwen2_5_vl": "Qwen2.5-VL",
    "videomme": "VideoMME",
    "mlvu": "MLVU",
    "mvbench": "MVBench",
    "vqav2": "VQAv2",
    "mme": "MME",
    "mmbench": "MMBench",
    "geomean": "Geomean",
    "mean": "Mean",
}

_LONGEST_NAME = 14

_RULES = {
    "font.family": "DejaVu Sans",
    "font.size": 7.0,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.0,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "legend.columnspacing": 1.0,
    "grid.linewidth": 0.3,
    "hatch.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    # Names of models are text, never mathematics.
    "text.parse_math": False,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "focal",
}

_METADATA: dict[str, dict[str, Any]] = {
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
}
"""Fields that would differ between runs or versions."""


@contextmanager
def style() -> Iterator[None]:
    """Draw inside this, so that a user's matplotlib settings change nothing."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RULES)
        yield


def new_figure(width_inches: float, height_inches: float) -> Any:
    """Return an empty figure that lays itself out."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Any, stem: Path, formats: tuple[str, ...] = FORMATS) -> list[Path]:
    """Write ``stem`` in each format; equal figures give equal bytes.

    Raises:
        RunError: A file cannot be written.
    """
    # Laid out once: each drawing would shift the layout a little, and a picture must not depend on its siblings.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    paths = []
    for kind in formats:
        path = stem.with_name(f"{stem.name}.{kind}")
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format=kind, dpi=180, metadata=_METADATA[kind])
        paths.append(path)
    return paths


def save_pages(figures: list[Any], path: Path) -> None:
    """Write figures as the pages of one PDF; equal figures give equal bytes."""
    from matplotlib.backends.backend_pdf import PdfPages

    with atomic_path(path) as temporary, PdfPages(temporary, metadata=_METADATA["pdf"]) as pages:
        for figure in figures:
            pages.savefig(figure)


def base_of(method: str) -> str:
    """Return the accelerator in a name such as ``focus (cycle)``, which tells rows of several runs apart."""
    return method.partition(" (")[0]


def label(method: str) -> str:
    """Return what a method or accelerator is called in a legend."""
    base, _, mark = method.partition(" (")
    if base in METHODS:
        return f"{METHODS[base][0]} ({short(mark, 20)}" if mark else METHODS[base][0]
    return short(method, 24)


def colour(method: str) -> str:
    """Return the same colour for a method in every exhibit."""
    base = base_of(method)
    if base in METHODS:
        return METHODS[base][1]
    number = hashlib.sha256(base.encode()).digest()[0]
    return _SPARE_COLOURS[number % len(_SPARE_COLOURS)]


def hatch(method: str) -> str:
    """Return the hatch of a method."""
    base = base_of(method)
    return METHODS[base][2] if base in METHODS else ""


@lru_cache(maxsize=1)
def _drawable() -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties(family="DejaVu Sans"))).get_charmap())


def width_points(text: str, size: float) -> float:
    """Return how wide a line of text is drawn."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties(family="DejaVu Sans")))
    font.set_size(size, _DPI)
    font.set_text(drawable(text), 0.0)
    return float(font.get_width_height()[0]) / _SUBPIXELS


_DPI, _SUBPIXELS = 72, 64
"""Of the measure: a pixel is a point, and FreeType counts in 64ths."""


def drawable(text: str) -> str:
    """Return a text in which every character that the font lacks is a box."""
    return "".join(sign if ord(sign) in _drawable() and sign.isprintable() else "\u25a1" for sign in text)


def short(name: str, longest: int = _LONGEST_NAME) -> str:
    """Return a name that fits under a bar: known names as printed, long ones cut in the middle.

    A character that the font lacks becomes a box; tables keep the name in full.
    """
    visible = drawable(_NAMES.get(name, name))
    if len(visible) <= longest:
        return visible
    head = (longest - 1) // 2
    return f"{visible[:head]}\u2026{visible[head + 1 - longest :]}"


def workload_label(model: str, dataset: str, longest: int = _LONGEST_NAME) -> str:
    """Return two lines: dataset, then model."""
    return f"{short(dataset, longest)}\n{short(model, longest)}"
