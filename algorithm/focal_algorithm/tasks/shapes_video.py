"""shapes-video: moving shapes on photographs, asked about in the manner of MVBench (arXiv 2311.17005)."""

from __future__ import annotations

from collections.abc import Mapping

from focal_algorithm.tasks.question import Question
from focal_algorithm.tasks.sample import TaskSample, sample_generator
from focal_algorithm.tasks.video_questions import VIDEO_KINDS, ask_video
from focal_algorithm.tasks.video_scene import draw_video, sample_video_scene

__all__ = ["TASK", "shapes_video_sample"]

TASK = "shapes-video"


def shapes_video_sample(
    seed: int,
    split: str,
    index: int,
    *,
    frames: int = 16,
    rounds: int = 1,
    more: Mapping[str, int] | None = None,
) -> TaskSample:
    """Make one clip and its questions.

    Args:
        seed: Of the data set.
        split: ``train``, ``val`` or ``test``.
        index: Of the sample.
        frames: 4 to 32.
        rounds: How often each sub-task is asked; sub-tasks that the scene does not admit are left out.
        more: How often some sub-tasks are asked instead.

    Returns:
        Frames of 64 x 64 pixels. A sub-task appears at most so many times, never with equal text.
    """
    generator = sample_generator(TASK, seed, split, index)
    scene = sample_video_scene(generator, frames)
    pixels, owners = draw_video(generator, scene)
    questions: dict[str, Question] = {}
    times = dict.fromkeys(VIDEO_KINDS, rounds) | dict(more or {})
    for round_ in range(max(times.values())):
        for kind in (kind for kind in VIDEO_KINDS if round_ < times[kind]):
            question = ask_video(kind, scene, generator)
            if question is not None:
                questions.setdefault(question.text, question)
    name = f"{TASK}-{seed}-{split}-{index}"
    return TaskSample(name, pixels, owners, scene, tuple(questions.values()), is_video=True)
