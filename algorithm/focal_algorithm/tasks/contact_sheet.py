"""Samples as one picture to look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from focal_algorithm.tasks.store import StoredSample

__all__ = ["contact_sheet"]

_MOST_FRAMES = 8
_ZOOM = 2


def contact_sheet(samples: Sequence[StoredSample]) -> Image.Image:
    """Return one row per sample, with at most 8 of its frames, doubled in size."""
    rows = []
    for sample in samples:
        count = len(sample.frames)
        chosen = np.linspace(0, count - 1, min(count, _MOST_FRAMES)).round().astype(int)
        rows.append(np.concatenate([sample.frames[frame] for frame in chosen], axis=1))
    sheet = Image.fromarray(np.concatenate(rows, axis=0))
    return sheet.resize((sheet.width * _ZOOM, sheet.height * _ZOOM), Image.Resampling.NEAREST)
