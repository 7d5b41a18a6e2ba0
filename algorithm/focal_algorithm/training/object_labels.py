"""What a word that names an object should know about it, read off the scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from focal_algorithm.tasks.drawing import COLORS, DIRECTIONS, SHAPES
from focal_algorithm.tasks.sample import TaskSample
from focal_algorithm.training.batches import IGNORED, MOST_OBJECTS

__all__ = ["NUMBERS", "ObjectLabels", "object_labels"]

NUMBERS = 6
"""(column, row) where it starts and where it ends, first frame, radius."""


@dataclass(frozen=True)
class ObjectLabels:
    """Targets per object.

    Attributes:
        color: Index of its colour, axes (batch, objects).
        shape: Index of its shape, same axes.
        direction: Index of its direction, -100 in images, same axes.
        speed: 1 if it is fast, -100 in images, same axes.
        numbers: Axes (batch, objects, `NUMBERS`): places in [-1, 1], the first frame as part of the clip, the radius
            as part of a quarter of the picture.
    """

    color: Tensor
    shape: Tensor
    direction: Tensor
    speed: Tensor
    numbers: Tensor


def object_labels(samples: Sequence[TaskSample]) -> ObjectLabels:
    """Return the targets of a batch."""
    kinds = np.full((4, len(samples), MOST_OBJECTS), IGNORED, dtype=np.int64)
    numbers = np.zeros((len(samples), MOST_OBJECTS, NUMBERS), dtype=np.float32)
    for row, sample in enumerate(samples):
        frames, size = sample.owners.shape[:2]
        for index, one in enumerate(sample.scene.objects):
            kinds[:2, row, index] = tuple(COLORS).index(one.color), SHAPES.index(one.shape)
            ends = np.array([one.start, one.end])
            first = one.first / max(1, frames - 1)
            numbers[row, index] = (*(ends.ravel() * 2 / size - 1), first, 4 * one.radius / size)
            if sample.is_video:
                kinds[2:, row, index] = DIRECTIONS.index(one.direction), int(one.is_fast)
    color, shape, direction, speed = torch.from_numpy(kinds)
    return ObjectLabels(color, shape, direction, speed, torch.from_numpy(numbers))
