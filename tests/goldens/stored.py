"""Golden files without a text of parameters: every array is a setting, an input or an expected result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from focal_algorithm.methods.base import TokenStream
from focal_algorithm.prompts.layout import SampleLayout, token_grid
from goldens.comparing import Settings, compare

VALUE, HALF_VALUE = 3e-5, 4e-3


class Stored(Settings):
    """Arrays of a file, scalars as plain values, that remember which of them were read."""

    SAID = frozenset({"seed", "note", "produced_with", "is_strict_rule"})

    @classmethod
    def load(cls, path: Path, method: str) -> tuple[Stored, list[str]]:
        """Return the arrays of a file, and whether it is another method's."""
        with np.load(path, allow_pickle=False) as file:
            stored = cls({name: _plain(file[name]) for name in file.files})
        return stored, compare("method", stored["method"], method)

    def tensor(self, name: str) -> Tensor:
        """Return an array in the dtype that the file names for it."""
        values = torch.from_numpy(np.asarray(self[name]))
        return values.to(getattr(torch, self[f"{name}__dtype"])) if f"{name}__dtype" in self else values

    def case(self, number: int) -> Stored:
        """Return the arrays of one variant of a file, which count as read in it; ask `unread` of the variant."""
        start = f"case{number}_"
        own = {name: value for name, value in self.items() if name.startswith(start)}
        self.read |= own.keys()
        return Stored({name.removeprefix(start): value for name, value in own.items()})

    def bound(self, name: str) -> float:
        """Return by how much values computed from an array may differ."""
        return HALF_VALUE if self.tensor(name).dtype in (torch.float16, torch.bfloat16) else VALUE


def _plain(values: Any) -> Any:
    return values.item() if values.ndim == 0 else values


def stream_of(
    frames: int, rows: int, columns: int, *, before: int = 0, after: int = 0, separators: int = 0
) -> TokenStream:
    """Return a prompt with a video, of which every token is present."""
    grid = token_grid(frames, rows, columns + separators)
    visual = frames * rows * (columns + separators)
    layout = SampleLayout(
        "golden", before + visual + after, before, visual, grid, separator_columns=separators
    )
    return TokenStream.of(layout, torch.arange(layout.sequence_tokens))
