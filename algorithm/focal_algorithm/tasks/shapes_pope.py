"""shapes-pope: is there such an object? Absent ones drawn at random, by popularity, or adversarially.

Polling as in POPE (arXiv 2305.10355, sec. 4): six questions an image, half of them about absent objects.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from focal_algorithm.prompts.media.media import Question
from focal_algorithm.tasks.drawing import Scene, draw_scene
from focal_algorithm.tasks.image_scene import CATEGORIES_BY_POPULARITY, IMAGE_SIZE_PIXELS, sample_image_scene
from focal_algorithm.tasks.sample import TaskSample, sample_generator
from focal_common.errors import ConfigError, near_matches

TASK = "shapes-pope"
VARIANTS = ("random", "popular", "adversarial")
_QUESTIONS_PER_ANSWER = 3


def shapes_pope_sample(seed: int, split: str, index: int, *, variant: str = "adversarial") -> TaskSample:
    """Make one image and six questions; the image is the same for every variant.

    Args:
        seed: Seed of the data set.
        split: ``train``, ``val`` or ``test``.
        index: Index of the sample.
        variant: How absent objects are chosen: evenly, the most popular first, or those that share colour or
            shape with the most objects of the image.
    """
    if variant not in VARIANTS:
        raise ConfigError(f"unknown variant '{variant}' of {TASK}; {near_matches(str(variant), VARIANTS)}")
    generator = sample_generator(TASK, seed, split, index)
    scene = sample_image_scene(generator)
    pixels, owners = draw_scene(generator, scene, IMAGE_SIZE_PIXELS)
    present = generator.choice(len(scene.objects), size=_QUESTIONS_PER_ANSWER, replace=False)
    absent = _absent(scene, variant, generator)
    questions = [_question(scene.objects[object_].name, int(object_)) for object_ in present]
    questions += [_question(name, None) for name in absent]
    name = f"{TASK}-{variant}-{seed}-{split}-{index}"
    return TaskSample(name, pixels, tuple(questions), False, owners, scene)


def pope_scores(are_yes: Sequence[bool], said_yes: Sequence[bool]) -> dict[str, float]:
    """Return accuracy, precision, recall, F1 of "yes", and the share of "yes" among the answers."""
    pairs = list(zip(are_yes, said_yes, strict=True))
    hits = sum(right and said for right, said in pairs)
    said, wanted = sum(said_yes), sum(are_yes)
    precision, recall = hits / said if said else 0.0, hits / wanted if wanted else 0.0
    total = precision + recall
    return {
        "accuracy": sum(right == said for right, said in pairs) / len(pairs),
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / total if total else 0.0,
        "yes": said / len(pairs),
    }


def _question(name: str, index: int | None) -> Question:
    text, choices = f"is there a {name} in the image?", ("yes", "no")
    if index is None:
        return Question("presence", text, "no", choices)
    return Question("presence", text, "yes", choices, ((index, "life"),))


def _absent(scene: Scene, variant: str, generator: np.random.Generator) -> list[str]:
    names = {(one.color, one.shape) for one in scene.objects}
    absent = [category for category in CATEGORIES_BY_POPULARITY if category not in names]
    mixed = [absent[index] for index in generator.permutation(len(absent))]
    if variant == "popular":
        mixed = absent
    elif variant == "adversarial":
        colors = [one.color for one in scene.objects]
        shapes = [one.shape for one in scene.objects]
        # Both attributes present beats either of them twice; the permutation breaks ties.
        mixed.sort(key=lambda one: -min(1, colors.count(one[0])) - min(1, shapes.count(one[1])))
    return [f"{color} {shape}" for color, shape in mixed[:_QUESTIONS_PER_ANSWER]]
