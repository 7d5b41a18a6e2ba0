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


class Settings(dict[str, Any]):
    """Parameters of a golden file that remember which of them were read."""

    # A seed made the inputs, which are stored; margins and ties describe them.
    SAID = frozenset(
        {"seed", "smallest_margin", "smallest_relative_margin", "note", "steps_with_tied_maximum"}
    )

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value, and note that it was asked for."""
        self.read.add(name)
        return super().get(name, default)

    def unread(self) -> list[str]:
        """Return a line for each parameter that was not read: it may change the right answer."""
        left = sorted(self.keys() - self.read - self.SAID)
        return [f"params: '{name}' says something that this check does not read" for name in left]


def load_settings(path: Path, method: str) -> tuple[Settings, Arrays, list[str]]:
    """Return parameters and arrays of a golden file of a method, and where its copies of parameters disagree."""
    params, arrays = load(path)
    wrong = compare("method", str(arrays.pop("method")), method)
    for name in [name for name in arrays if name.startswith("param_")]:
        wrong += compare(name, arrays.pop(name), params.get(name.removeprefix("param_")))
    return Settings(params), arrays, wrong


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
