"""shapes-fine: open questions about small parts of an image, of the kinds that pruning of tokens is said to harm first.

``count``: how many objects of a colour or shape there are. ``reading``: which colour the only object beside another
has, so that one place must be found and another read. ``color`` and ``shape`` of one object are the coarse questions
beside them.
"""

from __future__ import annotations

from focal_algorithm.prompts.media.media import Question
from focal_algorithm.tasks.drawing import draw_scene
from focal_algorithm.tasks.image_questions import OPEN_KINDS
from focal_algorithm.tasks.image_scene import IMAGE_SIZE_PIXELS, sample_image_scene
from focal_algorithm.tasks.sample import TaskSample, sample_generator

TASK = "shapes-fine"
_EACH = {"count": 2, "reading": 2, "color": 1, "shape": 1}
_ATTEMPTS = 12
"""Per question, after which a sub-task that the scene does not admit is left out."""


def shapes_fine_sample(seed: int, split: str, index: int) -> TaskSample:
    """Make one image of 96 x 96 pixels with up to six open questions."""
    generator = sample_generator(TASK, seed, split, index)
    scene = sample_image_scene(generator)
    pixels, owners = draw_scene(generator, scene, IMAGE_SIZE_PIXELS)
    questions: dict[str, Question] = {}
    for kind, times in _EACH.items():
        own: dict[str, Question] = {}
        for _ in range(times * _ATTEMPTS):
            found = OPEN_KINDS[kind](scene, generator, int(generator.integers(len(scene.objects))))
            if found is not None and len(own) < times:
                own.setdefault(found.text, found)
        questions |= own
    name = f"{TASK}-{seed}-{split}-{index}"
    return TaskSample(name, pixels, tuple(questions.values()), False, owners, scene)
