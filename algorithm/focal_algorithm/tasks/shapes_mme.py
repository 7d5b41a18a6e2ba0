"""shapes-mme: two questions an image, one yes and one no, scored as MME does (arXiv 2306.13394, sec. 2.2)."""

from __future__ import annotations

from collections.abc import Sequence

from focal_algorithm.prompts.media.media import Question
from focal_algorithm.tasks.drawing import draw_scene
from focal_algorithm.tasks.image_questions import IMAGE_KINDS, open_question
from focal_algorithm.tasks.image_scene import IMAGE_SIZE_PIXELS, sample_image_scene
from focal_algorithm.tasks.sample import TaskSample, sample_generator

TASK = "shapes-mme"
_OPEN_PER_PAIR = 3
"""Yes and no teach little until colours and shapes are read; open questions teach that. Tried."""


def shapes_mme_sample(seed: int, split: str, index: int) -> TaskSample:
    """Make one image with the two questions of one sub-task; sub-tasks take turns.

    Returns:
        96 x 96 pixels.
    """
    generator = sample_generator(TASK, seed, split, index)
    kind = tuple(IMAGE_KINDS)[index % len(IMAGE_KINDS)]
    while True:
        scene = sample_image_scene(generator)
        pair = IMAGE_KINDS[kind](scene, generator)
        if pair is not None:
            break
    pixels, owners = draw_scene(generator, scene, IMAGE_SIZE_PIXELS)
    return TaskSample(f"{TASK}-{seed}-{split}-{index}", pixels, pair, False, owners, scene)


def image_training_sample(seed: int, split: str, index: int, rounds: int = 2) -> TaskSample:
    """Make one image with every sub-task and with open questions, which teach more than yes and no."""
    generator = sample_generator("shapes-image", seed, split, index)
    scene = sample_image_scene(generator)
    pixels, owners = draw_scene(generator, scene, IMAGE_SIZE_PIXELS)
    questions: dict[str, Question] = {}
    for _ in range(rounds):
        for kind in IMAGE_KINDS:
            for question in IMAGE_KINDS[kind](scene, generator) or ():
                questions.setdefault(question.text, question)
            for _ in range(_OPEN_PER_PAIR):
                extra = open_question(scene, generator)
                if extra is not None:
                    questions.setdefault(extra.text, extra)
    name = f"shapes-image-{seed}-{split}-{index}"
    return TaskSample(name, pixels, tuple(questions.values()), False, owners, scene)


def mme_scores(kinds: Sequence[str], are_right: Sequence[bool]) -> dict[str, dict[str, float]]:
    """Return accuracy, accuracy+ and score per sub-task.

    Args:
        kinds: Sub-task of each question; the two of an image follow each other.
        are_right: Whether each was answered right.

    Returns:
        Per sub-task ``acc`` (questions right), ``acc+`` (images with both right) and ``score``, the sum of both
        in percent, at most 200.
    """
    scores: dict[str, dict[str, float]] = {}
    for kind in dict.fromkeys(kinds):
        own = [right for name, right in zip(kinds, are_right, strict=True) if name == kind]
        both = [first and second for first, second in zip(own[::2], own[1::2], strict=True)]
        single, pair = sum(own) / len(own), sum(both) / len(both)
        scores[kind] = {"acc": single, "acc+": pair, "score": 100 * (single + pair)}
    return scores
