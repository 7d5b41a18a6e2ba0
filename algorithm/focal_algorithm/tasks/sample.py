"""One sample of a procedural benchmark: pictures, questions, and who owns which pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from focal_algorithm.prompts.media.media import MediaSample, Question
from focal_algorithm.tasks.drawing import Scene
from focal_common.errors import ConfigError, near_matches

SPLITS = {"train": 0, "val": 1, "test": 2}
"""Splits, and the number that keeps their random streams apart."""


@dataclass(frozen=True)
class StoredSample:
    """Pictures with questions about them: what an evaluation needs.

    Attributes:
        sample_id: Task, seed, split and index.
        frames: Axes (frames, rows, columns, RGB), uint8; one frame for an image.
        questions: In a fixed order.
        is_video: Whether the frames are a video.
    """

    sample_id: str
    frames: NDArray[np.uint8]
    questions: tuple[Question, ...]
    is_video: bool

    def media(self) -> MediaSample:
        """Return the pictures as the input of a run."""
        pictures = tuple(Image.fromarray(np.asarray(frame)) for frame in self.frames)
        return MediaSample(self.sample_id, pictures, self.is_video, "procedural")


@dataclass(frozen=True)
class TaskSample(StoredSample):
    """A sample as it was drawn, with what a training asks besides.

    Attributes:
        owners: Axes (frames, rows, columns): index of the object drawn there, -1 for background.
        scene: Description from which every answer follows.
    """

    owners: NDArray[np.int8]
    scene: Scene


def sample_generator(task: str, seed: int, split: str, index: int) -> np.random.Generator:
    """Return the random stream of one sample; streams of different samples, splits and seeds never meet."""
    if split not in SPLITS:
        raise ConfigError(f"unknown split '{split}'; {near_matches(split, SPLITS)}")
    if index < 0 or seed < 0:
        raise ConfigError(f"index and seed must not be negative, got {index} and {seed}")
    return np.random.default_rng([seed, SPLITS[split], index, *task.encode("utf-8")])
