"""All layers in one HTML file with a slider; opens without network."""

from __future__ import annotations

import base64
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from focal_common import __version__
from focal_common.files import atomic_write_text
from focal_evaluation.overlays.looks import SHADE
from focal_evaluation.overlays.scene import Scene
from focal_evaluation.report.html import as_json
from focal_traces.records.token_status import TokenStatus

_SHADE_STEPS = 35
"""Shares are written as one digit of base 36."""
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def write_page(scene: Scene, layer: int, path: Path) -> None:
    """Write the page of `page_text`; raises `RunError` where the file cannot be written."""
    atomic_write_text(path, page_text(scene, layer))


def page_text(scene: Scene, layer: int) -> str:
    """Return the page; equal scenes give equal text.

    Args:
        scene: What to show.
        layer: Shown first, unless the address ends in ``#layer=N``.
    """
    from jinja2 import Environment, StrictUndefined

    folder = files("focal_evaluation.overlays")
    template = (folder / "page.html.j2").read_text(encoding="utf-8")
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(template)
    text = page.render(
        title=scene.title,
        facts=scene.facts,
        notes=scene.notes,
        version=__version__,
        last=scene.layers - 1,
        layer=layer,
        is_difference=scene.represented_by is None,
        has_shares=scene.shares is not None,
        looks=[
            {"label": look.label, "help": look.help, "colour": _hex(look.edge), "place": place}
            for place, look in enumerate(scene.looks)
            if (scene.states == place).any()
        ],
        css=(folder / "page.css").read_text(encoding="utf-8"),
        script=(folder / "page.js").read_text(encoding="utf-8"),
        data=as_json(_data(scene)),
    )
    return text + "\n"


def _data(scene: Scene) -> dict[str, Any]:
    pictures = [
        {
            "label": kept.label,
            "width": kept.width_pixels,
            "height": kept.height_pixels,
            "png": base64.b64encode(kept.png).decode("ascii"),
        }
        for kept in scene.frames.pictures
    ]
    looks = [
        {
            "label": look.label,
            "edge": list(look.edge),
            "wash": look.wash,
            "mark": look.mark,
            "counts": look.counts,
        }
        for look in scene.looks
    ]
    return {
        "pictures": pictures,
        "looks": looks,
        "shade": list(SHADE),
        "cells": scene.frames.cells.ravel().tolist(),
        "states": ["".join(_DIGITS[state] for state in row) for row in scene.states.tolist()],
        "shares": _shares(scene),
        "represented_by": _represented_by(scene),
    }


def _shares(scene: Scene) -> list[str]:
    if scene.shares is None:
        return []
    steps = np.rint(np.clip(scene.shares, 0, 1) * _SHADE_STEPS).astype(int)
    return ["".join(_DIGITS[step] for step in row) for row in steps.tolist()]


def _represented_by(scene: Scene) -> dict[str, Any]:
    """Return tables of (token, token that stands for it), and the table of each layer; equal ones once."""
    tables: dict[tuple[int, ...], int] = {}
    of_layer = []
    if scene.represented_by is not None:
        for states, represented_by in zip(scene.states, scene.represented_by, strict=True):
            moved = np.flatnonzero((states == TokenStatus.MERGED) | (states == TokenStatus.REPLACED))
            pairs = np.stack((moved, represented_by[moved]), axis=1).ravel()
            of_layer.append(tables.setdefault(tuple(pairs.tolist()), len(tables)))
    return {"tables": [list(pairs) for pairs in tables], "of_layer": of_layer}


def _hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
