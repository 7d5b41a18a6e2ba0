"""Where k-means gets its starting points: recorded, seeded, or without chance.

The published code draws from the process-wide random generator, so a picture's result depends on what ran
before it. Here a source of draws belongs to one picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor

from focal_algorithm.kernels.ordering import first_argmax
from focal_common.errors import RunError

__all__ = ["Draws", "FarthestPoints", "RecordedDraws", "SeededDraws"]


class Draws(Protocol):
    """Chooses one of several points."""

    def uniform(self, count: int) -> int:
        """Choose below ``count``."""
        ...

    def proportional(self, weights: Tensor) -> int:
        """Choose in proportion to ``weights``, axes (points)."""
        ...


class FarthestPoints:
    """No chance: the first point, then always the heaviest one, which is the farthest."""

    def uniform(self, count: int) -> int:
        """Choose the first point."""
        return 0

    def proportional(self, weights: Tensor) -> int:
        """Choose the heaviest point; the first of equals."""
        return int(first_argmax(weights))


class SeededDraws:
    """Draws of a generator of its own; repeats for equal seeds."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def uniform(self, count: int) -> int:
        """Choose below ``count``."""
        return int(torch.randint(count, (1,), generator=self._generator))

    def proportional(self, weights: Tensor) -> int:
        """Choose in proportion to the weights."""
        return int(torch.multinomial(weights.cpu(), 1, generator=self._generator))


class RecordedDraws:
    """Draws recorded elsewhere, in order; raises `RunError` when they run out."""

    def __init__(self, indices: Iterable[int]) -> None:
        self._left = iter(indices)

    def uniform(self, count: int) -> int:
        """Return the next index."""
        return self._next()

    def proportional(self, weights: Tensor) -> int:
        """Return the next index."""
        return self._next()

    def _next(self) -> int:
        index = next(self._left, None)
        if index is None:
            raise RunError("k-means asked for more random draws than were recorded")
        return int(index)
