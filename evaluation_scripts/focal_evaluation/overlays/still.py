"""One layer as PNG."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from focal_common.files import atomic_write_bytes

__all__ = ["png_of", "write_png"]


def write_png(sheet: NDArray[np.uint8], path: Path) -> None:
    """Write a sheet as `png_of` encodes it; raises `RunError` where the file cannot be written."""
    atomic_write_bytes(path, png_of(sheet))


def png_of(sheet: NDArray[np.uint8]) -> bytes:
    """Return a sheet, axes (rows, columns, 3), uint8, as PNG; equal sheets give equal bytes."""
    sink = BytesIO()
    Image.fromarray(sheet).save(sink, format="PNG", optimize=True)
    return sink.getvalue()
