"""Still scenes: categories that keep company, as in photographs, or crowds that teach a tower to see."""

from __future__ import annotations

import numpy as np

from focal_algorithm.tasks.drawing import COLORS, SHAPES, Scene, SceneObject, draw_scene
from focal_algorithm.tasks.sample import TaskSample, sample_generator

IMAGE_SIZE_PIXELS = 96
_SMALL, _LARGE = (7.5, 8.5), (11.5, 12.5)
"""Radii in pixels; of objects of the same shape, a large one has at least 1.8 times the area."""
_COMPANION_SHARE = 0.5

CATEGORIES_BY_POPULARITY = tuple(
    (tuple(COLORS)[rank * 5 % len(COLORS)], SHAPES[(rank + rank // len(COLORS)) % len(SHAPES)])
    for rank in range(len(COLORS) * len(SHAPES))
)
"""(colour, shape), the most frequent first; neighbours in rank share neither."""

_POPULARITY = 1 / (np.arange(len(CATEGORIES_BY_POPULARITY)) + 6.0)
_ATTEMPTS = 60


def sample_image_scene(generator: np.random.Generator) -> Scene:
    """Draw four to six objects of different categories."""
    count = int(generator.integers(4, 7))
    names = _names(generator, count)
    while True:
        objects: list[SceneObject] = []
        for color, shape in names:
            low, high = _LARGE if generator.random() < 0.4 else _SMALL
            for _ in range(30):
                radius = generator.uniform(low, high)
                place = generator.uniform(radius + 2, IMAGE_SIZE_PIXELS - radius - 2, size=2)
                if all(
                    np.hypot(*(place - np.array(other.start))) > 1.2 * (radius + other.radius)
                    for other in objects
                ):
                    centre = (float(place[0]), float(place[1]))
                    objects.append(SceneObject(color, shape, radius, centre, centre))
                    break
        if len(objects) == count:
            return Scene(tuple(objects))


def crowd_sample(
    seed: int, split: str, index: int, *, size_pixels: int, radii: tuple[float, float], most: int
) -> TaskSample:
    """Make one picture with as many shapes as find room.

    Args:
        seed: Seed of the data set.
        split: ``train``, ``val`` or ``test``.
        index: Index of the sample.
        size_pixels: Side of the picture.
        radii: Smallest and largest radius in pixels.
        most: Most shapes.
    """
    generator = sample_generator("crowd", seed, split, index)
    objects: list[SceneObject] = []
    categories = generator.permutation(len(COLORS) * len(SHAPES))
    spots = generator.uniform(0, 1, size=(_ATTEMPTS, 3))
    for across, down, share in spots:
        if len(objects) == most:
            break
        radius = radii[0] + share * (radii[1] - radii[0])
        edge = 1.3 * radius
        column = edge + across * (size_pixels - 2 * edge)
        row = edge + down * (size_pixels - 2 * edge)
        if all(
            (column - other.start[0]) ** 2 + (row - other.start[1]) ** 2
            > (1.1 * (radius + other.radius)) ** 2
            for other in objects
        ):
            category = int(categories[len(objects)])
            color, shape = tuple(COLORS)[category // len(SHAPES)], SHAPES[category % len(SHAPES)]
            centre = (float(column), float(row))
            objects.append(SceneObject(color, shape, float(radius), centre, centre))
    scene = Scene(tuple(objects))
    pixels, owners = draw_scene(generator, scene, size_pixels)
    return TaskSample(f"crowd-{seed}-{split}-{index}", pixels, (), False, owners, scene)


def _names(generator: np.random.Generator, count: int) -> list[tuple[str, str]]:
    """Draw categories by popularity; half of them as companions, sharing colour or shape with an earlier one."""
    names: list[tuple[str, str]] = []
    while len(names) < count:
        weights = _POPULARITY.copy()
        if names and generator.random() < _COMPANION_SHARE:
            color, shape = names[generator.integers(len(names))]
            for rank, (other_color, other_shape) in enumerate(CATEGORIES_BY_POPULARITY):
                if (color == other_color) == (shape == other_shape):
                    weights[rank] = 0
        pick = CATEGORIES_BY_POPULARITY[generator.choice(len(weights), p=weights / weights.sum())]
        if pick not in names:
            names.append(pick)
    return names
