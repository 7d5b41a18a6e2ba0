"""Targets of the losses, read off the scene: what each visual token, and each word for an object, should know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from focal_algorithm.tasks.drawing import COLORS, DIRECTIONS, QUADRANTS, SHAPES
from focal_algorithm.tasks.sample import TaskSample
from focal_algorithm.tasks.video_scene import quadrant
from focal_algorithm.training.batches import CATEGORIES, IGNORED, MOST_OBJECTS, cell_owners


@dataclass(frozen=True)
class VisualLabels:
    """Targets per visual token.

    Attributes:
        category: 0 for background, 1 + colour * shapes + shape of the object; axes (batch, visual).
        centre: Centre of the object in the frame, (column, row) in [-1, 1]; axes (batch, visual, 2).
        is_middle: 1 where the centre of the object lies in the cell, axes (batch, visual); one cell counts one object.
        radius: Radius of the object in cells, axes (batch, visual).
        presence: Which categories are in the frame, axes (batch, frames, categories).
        time: Frame number over the last frame number, axes (batch, visual).
        direction: Direction of the object from its second visible frame on, else -100; axes (batch, visual).
        speed: 1 for a fast object, from its second visible frame on, else -100.
        start: Quadrant in which the object started, else -100.
    """

    category: Tensor
    centre: Tensor
    is_middle: Tensor
    radius: Tensor
    presence: Tensor
    time: Tensor
    direction: Tensor
    speed: Tensor
    start: Tensor


def visual_labels(samples: Sequence[TaskSample], side: int) -> VisualLabels:
    """Return the targets of a batch.

    Args:
        samples: With equal frames.
        side: Visual tokens per side of a frame.
    """
    arrays = [_of_one(sample, side) for sample in samples]
    return VisualLabels(*(torch.from_numpy(np.stack(column)) for column in zip(*arrays, strict=True)))


def _of_one(sample: TaskSample, side: int) -> tuple[Any, ...]:
    owners = cell_owners(sample.owners, side)
    frames, size = len(owners), sample.owners.shape[1]
    category = np.zeros(owners.shape, dtype=np.int64)
    centre = np.zeros((*owners.shape, 2), dtype=np.float32)
    is_middle = np.zeros(owners.shape, dtype=np.float32)
    radius = np.zeros(owners.shape, dtype=np.float32)
    presence = np.zeros((frames, CATEGORIES), dtype=np.float32)
    motion = np.full((3, *owners.shape), IGNORED, dtype=np.int64)
    frame_numbers = np.arange(frames)
    for index, one in enumerate(sample.scene.objects):
        is_own = owners == index
        kind = tuple(COLORS).index(one.color) * len(SHAPES) + SHAPES.index(one.shape)
        category[is_own] = 1 + kind
        radius[is_own] = one.radius * side / size
        is_visible = (sample.owners == index).any((1, 2))
        presence[is_visible, kind] = 1
        for frame in frame_numbers[is_visible]:
            rows, columns = np.nonzero(sample.owners[frame] == index)
            place = (columns.mean() + 0.5, rows.mean() + 0.5)
            centre[frame, is_own[frame]] = place
            is_middle[frame, int(place[1] * side / size), int(place[0] * side / size)] = 1
        if sample.is_video:
            is_moving = is_own & (frame_numbers > one.first)[:, None, None]
            motion[0, is_moving] = DIRECTIONS.index(one.direction)
            motion[1, is_moving] = int(one.is_fast)
            motion[2, is_own] = QUADRANTS.index(quadrant(one.start))
    time = np.broadcast_to((frame_numbers / max(1, frames - 1))[:, None, None], owners.shape)
    return (
        category.ravel(),
        (centre * 2 / size - 1).reshape(-1, 2).astype(np.float32),
        is_middle.ravel(),
        radius.ravel(),
        presence,
        time.ravel().astype(np.float32),
        motion[0].ravel(),
        motion[1].ravel(),
        motion[2].ravel(),
    )


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
