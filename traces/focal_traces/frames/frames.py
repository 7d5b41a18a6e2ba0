"""Pictures behind a trace, in memory: what the model saw, and where in it each visual token lies.

Pictures are kept encoded; nothing here decodes or draws. Writing is in `focal_traces.frames.file`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import TraceError
from focal_traces.header.schema import TraceHeader

CELL_FIELDS = ("picture", "left", "top", "right", "bottom")
"""Columns of a cell table. A cell reaches from (left, top) to before (right, bottom), in pixels of its picture."""

_MOST_MARGIN = 16
"""Cells beside a picture reach at most this many times its longer side from its corner."""


@dataclass(frozen=True)
class KeptPicture:
    """One frame, overview, tile or slice.

    Attributes:
        label: What it is, such as ``frame 3``.
        width_pixels: Of the stored picture.
        height_pixels: Likewise.
        png: The picture, 8-bit RGB.
    """

    label: str
    width_pixels: int
    height_pixels: int
    png: bytes


@dataclass(frozen=True, eq=False)
class SampleFrames:
    """What one prefill was shown.

    Attributes:
        sample_id: As in the trace header.
        question: Text that was asked.
        pictures: In the order of the visual tokens.
        cells: Rectangle of each visual token, axes (S, `CELL_FIELDS`), int32. A token that shows no pixels (newline,
            mark) has a cell beside or below its picture.
        note: What a reader of the picture must know, such as that tokens have no place; empty for nothing.
    """

    sample_id: str
    question: str
    pictures: tuple[KeptPicture, ...]
    cells: NDArray[np.int32]
    note: str = ""


@dataclass(frozen=True)
class FramesTrace:
    """A header and the pictures of each of its samples.

    Attributes:
        header: What was run.
        samples: One per ``header.samples``; None where pictures were not kept or the prompt has none.
    """

    header: TraceHeader
    samples: tuple[SampleFrames | None, ...]


def check_frames(trace: FramesTrace, where: str) -> None:
    """Check the tables against the header and the pictures.

    Raises:
        TraceError: The first violation, naming file and sample.
    """
    if len(trace.samples) != len(trace.header.samples):
        raise TraceError(
            f"{where}: the header lists {len(trace.header.samples)} samples, but there are frames of "
            f"{len(trace.samples)}"
        )
    for number, (sample, header) in enumerate(zip(trace.samples, trace.header.samples, strict=True)):
        if sample is None:
            continue
        wrong = _violation(sample, header.sample_id, header.visual_tokens)
        if wrong:
            raise TraceError(f"{where}: sample {number}: {wrong}")


def _violation(sample: SampleFrames, sample_id: str, visual_tokens: int) -> str:
    if sample.sample_id != sample_id:
        return f"frames of '{sample.sample_id}', expected those of '{sample_id}'"
    cells = sample.cells
    if cells.shape != (visual_tokens, len(CELL_FIELDS)):
        return f"a cell table of axes {cells.shape}, expected ({visual_tokens}, {len(CELL_FIELDS)})"
    if not len(cells):
        return "no visual token, so no frames were expected"
    picture, left, top, right, bottom = cells.T
    if picture.min() < 0 or picture.max() >= len(sample.pictures):
        return f"'picture' must be a number below {len(sample.pictures)}"
    if min(left.min(), top.min()) < 0 or np.any(left >= right) or np.any(top >= bottom):
        return "each cell must have 0 <= left < right and 0 <= top < bottom"
    sides = np.array([max(one.width_pixels, one.height_pixels) for one in sample.pictures])
    if np.any(np.maximum(right, bottom) > _MOST_MARGIN * sides[picture]):
        return f"a cell lies further than {_MOST_MARGIN} sides of its picture away"
    return ""
