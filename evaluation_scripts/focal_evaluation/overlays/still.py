"""One layer as PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from focal_common.files import atomic_path

__all__ = ["write_png"]


def write_png(sheet: NDArray[np.uint8], path: Path) -> None:
    """Write a sheet, axes (rows, columns, 3), uint8; equal sheets give equal bytes.

    Raises:
        RunError: The file cannot be written.
    """
    with atomic_path(path) as temporary:
        Image.fromarray(sheet).save(temporary, format="PNG", optimize=True)
