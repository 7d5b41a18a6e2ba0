"""Crowded still pictures without questions: many shapes a picture, for teaching a vision tower to see them."""

from __future__ import annotations

import numpy as np

from focal_algorithm.tasks.backgrounds import background
from focal_algorithm.tasks.drawing import paint
from focal_algorithm.tasks.image_scene import ImageScene, StillObject
from focal_algorithm.tasks.sample import TaskSample, sample_generator
from focal_algorithm.tasks.vocabulary import COLORS, SHAPES

__all__ = ["crowd_sample"]

_ATTEMPTS = 60
_NOISE_LEVELS = 5.0


def crowd_sample(
    seed: int, split: str, index: int, *, size_pixels: int, radii: tuple[float, float], most: int
) -> TaskSample:
    """Make one picture with as many shapes as find room.

    Args:
        seed: Of the data set.
        split: ``train``, ``val`` or ``test``.
        index: Of the sample.
        size_pixels: Side of the picture.
        radii: Smallest and largest radius in pixels.
        most: Most shapes.
    """
    generator = sample_generator("crowd", seed, split, index)
    objects: list[StillObject] = []
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
            (column - one.centre[0]) ** 2 + (row - one.centre[1]) ** 2 > (1.1 * (radius + one.radius)) ** 2
            for one in objects
        ):
            category = int(categories[len(objects)])
            color, shape = tuple(COLORS)[category // len(SHAPES)], SHAPES[category % len(SHAPES)]
            objects.append(StillObject(color, shape, float(radius), (float(column), float(row))))
    pixels = background(generator, 1, size_pixels)
    owners = np.full(pixels.shape[:3], -1, dtype=np.int8)
    for number, one in enumerate(objects):
        paint(
            pixels,
            owners,
            number=number,
            shape=one.shape,
            color=np.array(COLORS[one.color]) * generator.uniform(0.85, 1.0),
            centres=np.array([one.centre]),
            radius=one.radius,
        )
    pixels += generator.standard_normal(pixels.shape, dtype=np.float32) * _NOISE_LEVELS
    frames = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    scene = ImageScene(tuple(objects))
    return TaskSample(f"crowd-{seed}-{split}-{index}", frames, owners, scene, (), is_video=False)
