"""What every golden handler needs: reading a file and saying what differs, in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Arrays = dict[str, NDArray[Any]]


def load(path: Path) -> tuple[dict[str, Any], Arrays]:
    """Return the parameters and the arrays of an ``.npz`` golden file, read without pickling."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    return json.loads(str(arrays.pop("params"))), arrays


def compare(
    name: str, got: ArrayLike, expected: ArrayLike, *, absolute: float = 0.0, relative: float = 0.0
) -> list[str]:
    """Return nothing if the arrays agree, else one line: count, first index, expected and got."""
    ours, theirs = np.asarray(got), np.asarray(expected)
    if ours.shape != theirs.shape:
        return [f"{name}: shape {ours.shape}, expected {theirs.shape}"]
    if absolute or relative:
        equal = np.isclose(ours, theirs, atol=absolute, rtol=relative, equal_nan=True)
    else:
        equal = ours == theirs
    if equal.all():
        return []
    first = tuple(int(axis) for axis in np.argwhere(~equal)[0])
    return [
        f"{name}: {int((~equal).sum())} of {equal.size} entries differ, first at {first}: "
        f"expected {theirs[first]}, got {ours[first]}"
    ]
