"""One picture of one layer: title, legend with counts, and all frames with their cells."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from focal_evaluation.exhibits.style import short
from focal_evaluation.overlays.cell_map import CellMap, cell_map, painted
from focal_evaluation.overlays.looks import SHADE, Look
from focal_evaluation.overlays.scene import SEPARATOR, Scene

_MARGIN, _GAP, _LEAST_WIDTH = 12, 10, 640
_TITLE_PIXELS, _TEXT_PIXELS = 16, 12
_LINE = 1.45
_MOST_FACT_LINES = 2
_SIDES = ((1, 640), (2, 480), (4, 384), (9, 288), (16, 224), (36, 160))
"""Longer side of a picture in pixels, by how many there are at most."""
_LEAST_SIDE = 112


@dataclass(frozen=True)
class Panel:
    """Where a picture landed.

    Attributes:
        picture: Its number.
        left: Of its first pixel in the sheet.
        top: Likewise.
        map: Its cells.
    """

    picture: int
    left: int
    top: int
    map: CellMap


@dataclass(frozen=True, eq=False)
class Sheet:
    """A finished picture.

    Attributes:
        pixels: Axes (rows, columns, 3), uint8.
        panels: Where its pictures are.
    """

    pixels: NDArray[np.uint8]
    panels: tuple[Panel, ...]


class SheetMaker:
    """Lays a scene out once and draws any of its layers; all sheets have one size.

    Args:
        scene: What to draw.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        count = len(scene.pictures)
        side = next((side for most, side in _SIDES if count <= most), _LEAST_SIDE)
        maps = [
            cell_map(picture, scene.frames.cells, number, side)
            for number, picture in enumerate(scene.pictures)
        ]
        width = max(one.owner.shape[1] for one in maps)
        height = max(one.owner.shape[0] for one in maps) + round(_TEXT_PIXELS * _LINE)
        columns = min(count, max(round(math.sqrt(count * height / width) + 0.2), 1))
        self.width = max(_LEAST_WIDTH, 2 * _MARGIN + columns * (width + _GAP) - _GAP)
        self._head = self._header_lines()
        legend_rows = len(_rows_of(self._legend(0), self.width - 2 * _MARGIN))
        line = round(_TEXT_PIXELS * _LINE)
        self._legend_top = _MARGIN + round(_TITLE_PIXELS * _LINE) + (len(self._head) + 1) * line
        top = self._legend_top + legend_rows * line + _GAP
        self._panels = tuple(
            Panel(
                number,
                _MARGIN + (number % columns) * (width + _GAP),
                top + (number // columns) * (height + _GAP) + line,
                own,
            )
            for number, own in enumerate(maps)
        )
        self._notes = [part for note in scene.notes for part in _wrapped(f"note: {note}", self.width)]
        self._notes_top = top + math.ceil(count / columns) * (height + _GAP)
        self.height = self._notes_top + len(self._notes) * line + _MARGIN

    def draw(self, layer: int) -> Sheet:
        """Return the sheet of one layer."""
        scene = self._scene
        image = Image.new("RGB", (self.width, self.height), (255, 255, 255))
        draw = ImageDraw.Draw(image)
        line = round(_TEXT_PIXELS * _LINE)
        room = int((self.width - 2 * _MARGIN) / (0.62 * _TITLE_PIXELS))
        draw.text((_MARGIN, _MARGIN), short(scene.title, room), font=_font(_TITLE_PIXELS, True), fill=0)
        top = _MARGIN + round(_TITLE_PIXELS * _LINE)
        head = [self._layer_line(layer), *self._head]
        for place, text in enumerate(head):
            draw.text((_MARGIN, top + place * line), text, font=_font(_TEXT_PIXELS), fill=(60, 60, 60))
        self._draw_legend(draw, layer)
        pixels = np.asarray(image).copy()
        for panel in self._panels:
            shares = None if scene.shares is None else scene.shares[layer]
            drawn = painted(panel.map, scene.states[layer], scene.looks, shares)
            rows, columns = drawn.shape[:2]
            pixels[panel.top : panel.top + rows, panel.left : panel.left + columns] = drawn
        image = Image.fromarray(pixels)
        draw = ImageDraw.Draw(image)
        self._draw_labels(draw, layer)
        for place, text in enumerate(self._notes):
            at = (_MARGIN, self._notes_top + place * line)
            draw.text(at, text, font=_font(_TEXT_PIXELS), fill=(60, 60, 60))
        return Sheet(np.asarray(image), self._panels)

    def _layer_line(self, layer: int) -> str:
        scene = self._scene
        share = f"{scene.kept(layer)} of {scene.tokens} visual tokens"
        word = "kept by either" if scene.represented_by is None else "kept"
        return f"after layer {layer} of 0 to {scene.layers - 1}: {share} {word}"

    def _header_lines(self) -> list[str]:
        lines: list[str] = []
        for fact in self._scene.facts:
            lines += _first_lines(_wrapped(fact, self.width), _MOST_FACT_LINES)
        return lines

    def _legend(self, layer: int) -> list[tuple[Look | None, str]]:
        scene = self._scene
        used = np.bincount(scene.states.ravel(), minlength=len(scene.looks)) > 0
        counts = scene.counts(layer)
        entries: list[tuple[Look | None, str]] = [
            (look, f"{look.label}: {count}")
            for look, count, is_used in zip(scene.looks, counts, used, strict=True)
            if is_used
        ]
        if scene.shares is not None:
            entries.append((None, "shade: share of its vectors merged, 0 to 100 %"))
        return entries

    def _draw_legend(self, draw: ImageDraw.ImageDraw, layer: int) -> None:
        line = round(_TEXT_PIXELS * _LINE)
        rows = _rows_of(self._legend(layer), self.width - 2 * _MARGIN)
        for row, entries in enumerate(rows):
            for left, look, text in entries:
                x, y = _MARGIN + left, self._legend_top + row * line
                box = (x, y + 2, x + _TEXT_PIXELS, y + 2 + _TEXT_PIXELS)
                if look is None:
                    for step in range(_TEXT_PIXELS + 1):
                        fade = tuple(
                            round(255 + (one - 255) * 0.7 * step / _TEXT_PIXELS) & 0xFE for one in SHADE
                        )
                        draw.line((x + step, box[1], x + step, box[3]), fill=fade)
                else:
                    _swatch(draw, box, look)
                draw.text((x + _TEXT_PIXELS + 5, y), text, font=_font(_TEXT_PIXELS), fill=(30, 30, 30))

    def _draw_labels(self, draw: ImageDraw.ImageDraw, layer: int) -> None:
        scene = self._scene
        is_kept = np.array([look.counts for look in scene.looks])[scene.states[layer]]
        line = round(_TEXT_PIXELS * _LINE)
        for panel in self._panels:
            tokens = panel.map.tokens
            text = f"{scene.frames.pictures[panel.picture].label}: {is_kept[tokens].sum()} of {len(tokens)}"
            room = int(panel.map.owner.shape[1] / (0.56 * _TEXT_PIXELS))
            at = (panel.left, panel.top - line)
            draw.text(at, short(text, max(8, room)), font=_font(_TEXT_PIXELS), fill=(60, 60, 60))


def _swatch(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], look: Look) -> None:
    left, top, right, bottom = box
    grey = round(200 * (1 - look.wash))
    draw.rectangle(box, fill=(grey, grey, grey), outline=look.edge, width=2)
    middle = ((left + right) // 2, (top + bottom) // 2)
    if look.mark in ("slash", "cross"):
        draw.line((left, bottom, right, top), fill=look.edge)
    if look.mark == "cross":
        draw.line((left, top, right, bottom), fill=look.edge)
    if look.mark == "dot":
        draw.rectangle((middle[0] - 1, middle[1] - 1, middle[0] + 1, middle[1] + 1), fill=look.edge)


def _rows_of(entries: list[tuple[Look | None, str]], width: int) -> list[list[tuple[int, Look | None, str]]]:
    """Lay legend entries out in rows; room is left for any count, so that rows do not jump between layers."""
    rows: list[list[tuple[int, Look | None, str]]] = [[]]
    left = 0
    for look, text in entries:
        name, _, _ = text.partition(":")
        needed = _TEXT_PIXELS + 5 + math.ceil(_font(_TEXT_PIXELS).getlength(f"{name}: 888888")) + 14
        if look is None:
            needed = _TEXT_PIXELS + 5 + math.ceil(_font(_TEXT_PIXELS).getlength(text)) + 14
        if left and left + needed > width:
            rows.append([])
            left = 0
        rows[-1].append((left, look, text))
        left += needed
    return rows


def _wrapped(text: str, width: int) -> list[str]:
    """Break a text into lines that fit; characters the font lacks become boxes."""
    room = max(20, int((width - 2 * _MARGIN) / (0.56 * _TEXT_PIXELS)))
    return [short(line, room) for line in textwrap.wrap(" ".join(text.split()), room)] or [""]


def _first_lines(lines: list[str], most: int) -> list[str]:
    """Return the first lines of a text; where some are left out, the last ends behind a whole entry, in an ellipsis."""
    if len(lines) <= most:
        return lines
    whole, comma, _ = lines[most - 1].rpartition(SEPARATOR)
    # A sentence has no entries: its last characters make room.
    last = f"{whole}{comma}\u2026" if comma else f"{lines[most - 1][:-2]}\u2026"
    return [*lines[: most - 1], last]


@lru_cache(maxsize=8)
def _font(size: int, is_bold: bool = False) -> ImageFont.FreeTypeFont:
    import matplotlib as mpl

    name = "DejaVuSans-Bold.ttf" if is_bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / name), size)
