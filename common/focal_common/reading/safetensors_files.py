"""The one reader of weights in safetensors files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from focal_common.errors import ConfigError, FocalError
from focal_common.reading.doors import MIB, one_line, open_regular
from focal_common.reading.json_files import parse_line

_MOST_HEADER_BYTES = 100 * MIB  # as the library itself has it
_METADATA = "__metadata__"


def tensor_shapes(path: Path, error: type[FocalError] = ConfigError) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor from the header of a file, which must fit its length.

    Raises:
        FocalError: Truncated or damaged.
    """
    with open_regular(path, error) as source:
        file_bytes = source.seek(0, 2)
        source.seek(0)
        header_bytes = int.from_bytes(source.read(8), "little")
        if file_bytes < 8 or header_bytes > min(_MOST_HEADER_BYTES, file_bytes - 8):
            raise error(f"{path}: not readable as weights: truncated, damaged or no safetensors file")
        header = parse_line(source.read(header_bytes), f"{path}: not readable as weights: header", error)
    shapes = {}
    for name, facts in header.items():
        if name == _METADATA:
            continue
        shape = facts.get("shape") if isinstance(facts, dict) else None
        if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
            raise error(f"{path}: not readable as weights: '{name:.80}' has no shape")
        if math.prod(shape) > 8 * file_bytes:
            raise error(
                f"{path}: not readable as weights: '{name:.80}' has shape {shape}, more than the file holds"
            )
        shapes[name] = tuple(shape)
    return shapes


def load_safetensors(path: Path, error: type[FocalError] = ConfigError) -> dict[str, Any]:
    """Return the tensors of a file by name.

    Raises:
        FocalError: Truncated or damaged.
    """
    from safetensors.torch import load_file

    tensor_shapes(path, error)
    try:
        return load_file(path)
    # The library raises errors of its own, and of Python where a header lacks a field.
    except Exception as problem:
        raise error(f"{path}: not readable as weights ({one_line(problem, 120)})") from problem
