"""Does every answer of every benchmark follow from its scene?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from focal_algorithm.tasks.drawing import COLORS
from focal_algorithm.tasks.sample import TaskSample
from focal_algorithm.tasks.shapes_fine import shapes_fine_sample
from focal_algorithm.tasks.shapes_mme import image_training_sample, shapes_mme_sample
from focal_algorithm.tasks.shapes_pope import VARIANTS, shapes_pope_sample
from focal_algorithm.tasks.shapes_video import shapes_video_sample
from oracles.scene_answers import answer


def samples() -> Iterator[TaskSample]:
    for index in range(60):
        yield shapes_video_sample(3, "test", index, rounds=2)
        yield shapes_mme_sample(3, "test", index)
        yield shapes_fine_sample(3, "test", index)
        yield image_training_sample(3, "train", index)
        yield shapes_pope_sample(3, "test", index, variant=VARIANTS[index % 3])


def test_answers_follow_from_the_scene() -> None:
    asked = 0
    for sample in samples():
        for question in sample.questions:
            assert answer(sample.scene, question.text) == question.answer, question
            assert question.answer in question.choices
            asked += 1
    assert asked > 3000


@pytest.mark.parametrize("frames", [8, 16, 32])
def test_pixels_show_the_scene(frames: int) -> None:
    """Objects are drawn where and when the scene says: the centre of the owned pixels is the centre."""
    for index in range(10):
        sample = shapes_video_sample(5, "val", index, frames=frames)
        for number, one in enumerate(sample.scene.objects):
            for frame in range(frames):
                rows, columns = np.nonzero(sample.owners[frame] == number)
                if not one.first <= frame <= one.last:
                    assert not len(rows)
                    continue
                place = np.array([columns.mean() + 0.5, rows.mean() + 0.5])
                assert np.abs(place - one.centres()[frame - one.first]).max() < 0.8
                shown = np.median(sample.frames[frame][rows, columns].astype(float), axis=0)
                nearest = min(COLORS, key=lambda color: np.abs(shown - COLORS[color]).sum())
                assert nearest == one.color, shown
