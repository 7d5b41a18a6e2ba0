"""Where in its pictures each visual token of a prompt lies: what `focal show` draws on.

Adapters say it for their placeholders; marks between pictures are placed here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from focal_common.errors import RunError
from focal_traces.frames.frames import KeptPicture, SampleFrames

_MOST_PIXELS = 16_000_000
"""Of all pictures of a sample together; larger ones are stored smaller. Chosen here: about 25 MB of PNG."""


@dataclass(frozen=True, eq=False)
class VisualCells:
    """Pictures as the tower got them, and the cell of each placeholder.

    Attributes:
        pictures: RGB.
        labels: What each is, such as ``frame 3``.
        cells: Axes (placeholders, `focal_traces.frames.frames.CELL_FIELDS`), int32, in the order of the prompt.
        note: See `SampleFrames`.
    """

    pictures: tuple[Image.Image, ...]
    labels: tuple[str, ...]
    cells: NDArray[np.int32]
    note: str = ""


CellMaker = Callable[[], VisualCells]
"""Made only where pictures are kept."""


def frame_labels(count: int, is_video: bool) -> tuple[str, ...]:
    """Return ``frame 0``, ``frame 1``, ..., or ``image``."""
    return tuple(f"frame {index}" for index in range(count)) if is_video else ("image",) * count


def grid_cells(
    picture: int,
    size_pixels: tuple[int, int],
    rows: int,
    columns: int,
    has_newlines: bool = False,
    box: tuple[int, int, int, int] | None = None,
) -> NDArray[np.int32]:
    """Return the cells of a grid of tokens, row by row.

    Args:
        picture: Its number.
        size_pixels: Width and height of the picture.
        rows: Rows of tokens.
        columns: Columns of tokens, without newlines.
        has_newlines: Whether a token follows each row; its cell lies to the right of the picture.
        box: Part of the picture that the grid covers: left, top, right, bottom; None for all of it.

    Returns:
        Axes (rows * (columns + newlines), 5), int32.
    """
    left, top, right, bottom = box or (0, 0, *size_pixels)
    across = left + np.arange(columns + 1) * (right - left) // columns
    down = top + np.arange(rows + 1) * (bottom - top) // rows
    return _between(picture, across, down, size_pixels[0] if has_newlines else None)


def cells_around(
    picture: int, centres_across: NDArray[np.float32], centres_down: NDArray[np.float32]
) -> tuple[NDArray[np.int32], tuple[int, int, int, int]]:
    """Return the cells of a grid given by the centres of its columns and rows, with a newline after each row.

    Args:
        picture: Its number.
        centres_across: Axes (columns), rising, in pixels of a canvas.
        centres_down: Axes (rows), likewise.

    Returns:
        Axes (rows * (columns + 1), 5), int32, in pixels of the part of the canvas that the grid covers; and that part:
        left, top, right, bottom.
    """
    across, down = _edges(centres_across), _edges(centres_down)
    cells = _between(picture, across - across[0], down - down[0], int(across[-1] - across[0]))
    return cells, (int(across[0]), int(down[0]), int(across[-1]), int(down[-1]))


def _edges(centres: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return borders half-way between centres, and as far beyond the outer ones as a typical step."""
    half = float(np.median(np.diff(centres))) / 2 if len(centres) > 1 else float(centres[0])
    middle = (centres[1:] + centres[:-1]) / 2
    edges = np.concatenate(([centres[0] - half], middle, [centres[-1] + half]))
    return np.maximum(np.rint(edges), 0).astype(np.int64)


def _between(
    picture: int, across: NDArray[np.int64], down: NDArray[np.int64], newline_left: int | None
) -> NDArray[np.int32]:
    lefts, rights = across[:-1], across[1:]
    if newline_left is not None:
        lefts = np.append(lefts, newline_left)
        rights = np.append(rights, newline_left + max(1, int(across[1] - across[0])))
    cells = np.empty((len(down) - 1, len(lefts), 5), dtype=np.int32)
    cells[..., 0] = picture
    cells[..., 1], cells[..., 3] = lefts, rights
    cells[..., 2], cells[..., 4] = down[:-1, None], down[1:, None]
    return cells.reshape(-1, 5)


def kept_frames(
    made: VisualCells, is_placeholder: NDArray[np.bool_], sample_id: str, question: str
) -> SampleFrames:
    """Return what the trace keeps of a sample's pictures.

    Args:
        made: By the adapter.
        is_placeholder: Whether each token of the visual range is a placeholder and no mark, axes (S), bool.
        sample_id: As in the trace header.
        question: Text that was asked.

    Raises:
        RunError: The adapter gave fewer cells than there are placeholders.
    """
    if int(is_placeholder.sum()) > len(made.cells):
        raise RunError(
            f"{sample_id}: cells of {len(made.cells)} visual tokens, expected {int(is_placeholder.sum())}; the "
            "model adapter is at fault (a run that keeps no frames still works)"
        )
    cells = _with_marks(made, is_placeholder)
    pixels = sum(one.width * one.height for one in made.pictures)
    scale = min(1.0, (_MOST_PIXELS / pixels) ** 0.5)
    pictures = [_scaled(one, scale) for one in made.pictures]
    if scale < 1:
        cells = cells.copy()
        cells[:, 1:] = np.floor(cells[:, 1:] * scale)
        cells[:, 3:] = np.maximum(cells[:, 3:], cells[:, 1:3] + 1)
    kept = [
        KeptPicture(label, one.width, one.height, _png(one))
        for label, one in zip(made.labels, pictures, strict=True)
    ]
    return SampleFrames(sample_id, question, tuple(kept), cells, made.note)


def _with_marks(made: VisualCells, is_placeholder: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Put the marks of a picture below it: those before its first token, and the last ones of all."""
    cells = np.empty((len(is_placeholder), 5), dtype=np.int32)
    where = np.flatnonzero(is_placeholder)
    cells[where] = made.cells[: len(where)]
    marks = np.flatnonzero(~is_placeholder)
    if not len(marks):
        return cells
    following = np.minimum(np.searchsorted(where, marks), len(where) - 1)
    owner = cells[where[following], 0]
    for picture in np.unique(owner).tolist():
        own = marks[owner == picture]
        image = made.pictures[picture]
        regular = made.cells[made.cells[:, 0] == picture]
        width, height = (int((regular[:, end] - regular[:, end - 2]).min()) for end in (3, 4))
        per_row = max(1, image.width // width)
        row, column = np.divmod(np.arange(len(own)), per_row)
        left, top = column * width, image.height + row * height
        cells[own] = np.stack((np.full(len(own), picture), left, top, left + width, top + height), axis=1)
    return cells


def _scaled(picture: Image.Image, scale: float) -> Image.Image:
    if scale == 1:
        return picture
    size = (max(1, int(picture.width * scale)), max(1, int(picture.height * scale)))
    return picture.resize(size, Image.Resampling.BOX)


def _png(picture: Image.Image) -> bytes:
    sink = BytesIO()
    # A copy without metadata: what a file says of its maker is no part of the pixels.
    Image.fromarray(np.asarray(picture.convert("RGB"))).save(sink, format="PNG")
    return sink.getvalue()


def square_cells(pictures: Sequence[Image.Image], side: int, is_video: bool = False) -> VisualCells:
    """Return pictures of which each is a square grid of tokens: frames, or tiles with an overview behind them.

    Args:
        pictures: As the tower got them.
        side: Tokens along a side of each.
        is_video: Whether they are frames.
    """
    grids = [grid_cells(number, one.size, side, side) for number, one in enumerate(pictures)]
    labels = frame_labels(len(pictures), is_video)
    if len(pictures) > 1 and not is_video:
        labels = (*(f"tile {number}" for number in range(len(pictures) - 1)), "overview")
    return VisualCells(tuple(pictures), labels, concatenated(grids))


def concatenated(parts: Sequence[NDArray[np.int32]]) -> NDArray[np.int32]:
    """Return the cells of pictures one after the other."""
    return np.concatenate([*parts, np.zeros((0, 5), dtype=np.int32)]).astype(np.int32)
