"""shapes-video: moving shapes on photographs, asked about in the manner of MVBench (arXiv 2311.17005)."""

from __future__ import annotations

from focal_algorithm.tasks.question import Question
from focal_algorithm.tasks.sample import TaskSample, sample_generator
from focal_algorithm.tasks.video_questions import VIDEO_KINDS, ask_video
from focal_algorithm.tasks.video_scene import draw_video, sample_video_scene

__all__ = ["TASK", "shapes_video_sample"]

TASK = "shapes-video"


def shapes_video_sample(
    seed: int, split: str, index: int, *, frames: int = 16, rounds: int = 1
) -> TaskSample:
    """Make one clip and its questions.

    Args:
        seed: Of the data set.
        split: ``train``, ``val`` or ``test``.
        index: Of the sample.
        frames: 4 to 32.
        rounds: How often each sub-task is asked; sub-tasks that the scene does not admit are left out.

    Returns:
        Frames of 64 x 64 pixels. A sub-task appears at most ``rounds`` times, never with equal text.
    """
    generator = sample_generator(TASK, seed, split, index)
    scene = sample_video_scene(generator, frames)
    pixels, owners = draw_video(generator, scene)
    questions: dict[str, Question] = {}
    for _ in range(rounds):
        for kind in VIDEO_KINDS:
            question = ask_video(kind, scene, generator)
            if question is not None:
                questions.setdefault(question.text, question)
    name = f"{TASK}-{seed}-{split}-{index}"
    return TaskSample(name, pixels, owners, scene, tuple(questions.values()), is_video=True)
