"""Which pixel of an enlarged picture belongs to which cell, and how the cells of one layer are painted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from focal_evaluation.overlays.looks import SHADE, Look, edges_of

_LEAST_CELL_PIXELS, _LEAST_MARK_PIXELS = 8, 11
_WIDE_CELL_PIXELS = 14
"""From this side on a cell that counts has an edge of two pixels."""
_STRONGEST_SHADE = 0.7


@dataclass(frozen=True, eq=False)
class CellMap:
    """One enlarged picture with the cells on it; all arrays have axes (rows, columns).

    Attributes:
        background: The picture on white, room for cells beside it, axes (rows, columns, 3), uint8, blue even.
        tokens: Visual tokens that have a cell here, axes (cells), int64.
        cells: Their rectangles in enlarged pixels: left, top, right, bottom, axes (cells, 4), int32.
        owner: Place of the pixel's cell in ``tokens``, -1 outside.
        is_edge: Outline of a cell, one pixel wide.
        marks: Per kind of mark, its pixels inside cells; ``inner`` thickens the outline of large cells.
    """

    background: NDArray[np.uint8]
    tokens: NDArray[np.int64]
    cells: NDArray[np.int32]
    owner: NDArray[np.int32]
    is_edge: NDArray[np.bool_]
    marks: dict[str, NDArray[np.bool_]]


def cell_map(picture: NDArray[np.uint8], cells: NDArray[np.int32], number: int, side_pixels: int) -> CellMap:
    """Enlarge a picture so that its cells can be seen.

    Args:
        picture: Axes (rows, columns, 3), uint8.
        cells: Of all visual tokens, axes (S, 5).
        number: Of the picture.
        side_pixels: Wanted length of its longer side; more where cells would vanish.
    """
    tokens = np.flatnonzero(cells[:, 0] == number)
    own = cells[tokens, 1:]
    height, width = picture.shape[:2]
    least = int(min((own[:, 2] - own[:, 0]).min(), (own[:, 3] - own[:, 1]).min())) if len(own) else 1
    scale = max(side_pixels / max(width, height), _LEAST_CELL_PIXELS / least)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    kind = Image.Resampling.NEAREST if scale > 3 else Image.Resampling.BICUBIC
    enlarged = np.asarray(Image.fromarray(picture).resize(size, kind))
    placed = np.floor(own * scale + 0.5).astype(np.int32)
    extent = placed.reshape(-1, 2, 2).max(axis=(0, 1), initial=0)
    canvas = np.full((max(size[1], extent[1]), max(size[0], extent[0]), 3), 255, dtype=np.uint8)
    canvas[: size[1], : size[0]] = enlarged
    owner = np.full(canvas.shape[:2], -1, dtype=np.int32)
    is_edge = np.zeros(canvas.shape[:2], dtype=np.bool_)
    marks = {name: np.zeros(canvas.shape[:2], dtype=np.bool_) for name in ("dot", "slash", "cross", "inner")}
    for place, (left, top, right, bottom) in enumerate(placed.tolist()):
        where = np.s_[top:bottom, left:right]
        owner[where] = place
        outline, shapes = _shapes(right - left, bottom - top)
        is_edge[where] = outline
        for name, shape in shapes.items():
            marks[name][where] = shape
    return CellMap(_even(canvas), tokens, placed, owner, is_edge, marks)


def _shapes(width: int, height: int) -> tuple[NDArray[np.bool_], dict[str, NDArray[np.bool_]]]:
    """Return the outline of a cell and its marks, axes (rows, columns)."""
    down, across = np.mgrid[:height, :width]
    inset = np.minimum(np.minimum(across, width - 1 - across), np.minimum(down, height - 1 - down))
    inner = (inset == 1) & (min(width, height) >= _WIDE_CELL_PIXELS)
    x, y = (across + 0.5) / width, (down + 0.5) / height
    half = max(0.5 / min(width, height), 0.04)
    is_inside = np.maximum(np.abs(x - 0.5), np.abs(y - 0.5)) < 0.22
    is_inside &= min(width, height) >= _LEAST_MARK_PIXELS
    slash, backslash = (np.abs(x + y - 1) < half) & is_inside, (np.abs(x - y) < half) & is_inside
    dot = np.maximum(np.abs(x - 0.5) * width, np.abs(y - 0.5) * height) < 0.14 * min(width, height)
    return inset == 0, {"dot": dot, "slash": slash, "cross": slash | backslash, "inner": inner}


def painted(
    own: CellMap, states: NDArray[np.uint8], looks: tuple[Look, ...], shares: NDArray[np.float32] | None
) -> NDArray[np.uint8]:
    """Return the picture with the cells of one layer.

    Args:
        own: The picture.
        states: Of all visual tokens, axes (S), places in ``looks``.
        looks: How states are drawn.
        shares: Of all visual tokens, axes (S); None for no shade.

    Returns:
        Axes (rows, columns, 3), uint8. The blue of a pixel is odd where it is an edge or a mark, and nowhere else.
    """
    state = states[own.tokens]
    is_cell = own.owner >= 0
    owner = np.where(is_cell, own.owner, 0)
    wash = np.array([look.wash for look in looks])[state]
    result = own.background.astype(np.float64)
    keeps = np.where(is_cell, 1 - wash[owner], 1.0)[..., None]
    result *= keeps
    if shares is not None:
        shade = (_STRONGEST_SHADE * shares[own.tokens] * (wash < 0.5))[owner]
        weight = np.where(is_cell, shade, 0.0)[..., None]
        result = result * (1 - weight) + np.array(SHADE) * weight
    drawn = _even(np.clip(np.rint(result), 0, 255).astype(np.uint8))
    is_ink = own.is_edge.copy()
    for name, where in own.marks.items():
        has_mark = np.array([look.mark == name or (name == "inner" and look.counts) for look in looks])[state]
        is_ink |= where & has_mark[owner]
    is_ink &= is_cell
    drawn[is_ink] = edges_of(looks)[state[owner[is_ink]]]
    return drawn


def _even(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    even = pixels.copy()
    even[..., 2] &= 0xFE
    return even
