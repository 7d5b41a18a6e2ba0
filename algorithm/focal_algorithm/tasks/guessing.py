"""What is right by luck for somebody who sees which objects there are but does not read what is asked of them."""

from __future__ import annotations

from focal_algorithm.tasks.question import Question
from focal_algorithm.tasks.sample import TaskSample
from focal_algorithm.tasks.video_scene import VideoScene

__all__ = ["luck"]


def luck(sample: TaskSample, question: Question) -> float:
    """Return the chance to be right, in (0, 1].

    Colours and shapes are guessed among those of the scene. A two-hop question is guessed among the objects of the
    last frame without the one that it names, as if its side had not been read.
    """
    scene = sample.scene
    if question.kind == "two-hop" and isinstance(scene, VideoScene):
        return 1 / (len(scene.at_end()) - 1)
    there = {word for one in scene.objects for word in (one.color, one.shape)}
    likely = [word for word in question.choices if word in there] or question.choices
    return 1 / len(likely)
