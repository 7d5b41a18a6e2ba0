"""The one reader of arrays in numpy's format; no Python objects."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

from focal_common.errors import FocalError, TraceError
from focal_common.reading.doors import MIB, one_line, read_bytes

_MOST_BYTES = 4096 * MIB


def parse_npy(content: bytes, where: str, error: type[FocalError] = TraceError, hint: str = "") -> Any:
    """Return the array that the bytes of an ``.npy`` file hold; it shares their memory and cannot be written.

    Raises:
        FocalError: Damaged, Python objects, or not exactly as many bytes as its header announces.
    """
    import numpy as np

    end = f"; {hint}" if hint else ""
    source = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(source)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version}")
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, is_fortran, dtype = read(source)
    # The header is parsed as Python text; a damaged one raises whatever its literals raise.
    except Exception as problem:
        raise error(f"{where}: not an array of numpy ({one_line(problem)}){end}") from problem
    start = source.tell()
    if dtype.hasobject or dtype.names or dtype.kind not in "biuf":
        raise error(f"{where}: holds {dtype}, expected numbers{end}")
    if any(size < 0 for size in shape) or math.prod(shape) * dtype.itemsize != len(content) - start:
        raise error(
            f"{where}: has {len(content) - start} bytes of numbers, expected shape {shape} of {dtype}{end}"
        )
    flat = np.frombuffer(content, dtype, offset=start)
    return flat.reshape(shape, order="F" if is_fortran else "C")


def read_npy(path: Path, error: type[FocalError] = TraceError, hint: str = "") -> Any:
    """Return the array in an ``.npy`` file; see `parse_npy`."""
    return parse_npy(read_bytes(path, error, _MOST_BYTES, hint), str(path), error, hint)
