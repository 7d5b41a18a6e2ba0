"""shapes-video: moving shapes on photographs, asked about in the manner of MVBench (arXiv 2311.17005)."""

from __future__ import annotations

from collections.abc import Mapping

from focal_algorithm.prompts.media.media import Question
from focal_algorithm.tasks.drawing import draw_scene
from focal_algorithm.tasks.sample import TaskSample, sample_generator
from focal_algorithm.tasks.video_questions import VIDEO_KINDS
from focal_algorithm.tasks.video_scene import VIDEO_SIZE_PIXELS, sample_video_scene
from focal_common.errors import ConfigError, near_matches

TASK = "shapes-video"
_FRAMES = (4, 32)
"""In fewer an object is visible once and moves nowhere; scenes were not tried with more."""


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
        seed: Seed of the data set.
        split: ``train``, ``val`` or ``test``.
        index: Index of the sample.
        frames: 4 to 32.
        rounds: How often each sub-task is asked; sub-tasks that the scene does not admit are left out.
        more: How often some sub-tasks are asked instead.

    Returns:
        Frames of 64 x 64 pixels. A sub-task appears at most so many times, never with equal text.

    Raises:
        ConfigError: An option out of range.
    """
    _check(frames, rounds, more or {})
    generator = sample_generator(TASK, seed, split, index)
    scene = sample_video_scene(generator, frames)
    pixels, owners = draw_scene(generator, scene, VIDEO_SIZE_PIXELS)
    questions: dict[str, Question] = {}
    times = dict.fromkeys(VIDEO_KINDS, rounds) | dict(more or {})
    for round_ in range(max(times.values())):
        for kind in (kind for kind in VIDEO_KINDS if round_ < times[kind]):
            question = VIDEO_KINDS[kind](scene, generator)
            if question is not None:
                questions.setdefault(question.text, question)
    name = f"{TASK}-{seed}-{split}-{index}"
    return TaskSample(name, pixels, tuple(questions.values()), True, owners, scene)


def _check(frames: int, rounds: int, more: Mapping[str, int]) -> None:
    least, most = _FRAMES
    if type(frames) is not int or not least <= frames <= most:
        raise ConfigError(f"frames of {TASK} must be a whole number from {least} to {most}, got {frames}")
    if not isinstance(more, Mapping):
        raise ConfigError(
            f"more of {TASK} must map sub-tasks to numbers, such as {{relation: 4}}, got {more}"
        )
    for name in more:
        if name not in VIDEO_KINDS:
            raise ConfigError(
                f"more of {TASK}: unknown sub-task '{name}'; {near_matches(str(name), VIDEO_KINDS)}"
            )
    for name, times in {"rounds": rounds, **more}.items():
        if type(times) is not int or times < 1:
            raise ConfigError(f"{name} of {TASK} must be a whole number of at least 1, got {times}")
