"""Still scenes of shapes, with popular categories and categories that keep company, as objects in photographs do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from focal_algorithm.tasks.backgrounds import background
from focal_algorithm.tasks.drawing import paint
from focal_algorithm.tasks.vocabulary import COLORS, SHAPES

__all__ = [
    "CATEGORIES_BY_POPULARITY",
    "IMAGE_SIZE_PIXELS",
    "ImageScene",
    "StillObject",
    "draw_image",
    "sample_image_scene",
]

IMAGE_SIZE_PIXELS = 96
_SMALL, _LARGE = (7.5, 8.5), (11.5, 12.5)
"""Radii in pixels; of objects of the same shape, a large one has at least 1.8 times the area."""
_COMPANION_SHARE = 0.5
_NOISE_LEVELS = 5.0

CATEGORIES_BY_POPULARITY = tuple(
    (tuple(COLORS)[rank * 5 % len(COLORS)], SHAPES[(rank + rank // len(COLORS)) % len(SHAPES)])
    for rank in range(len(COLORS) * len(SHAPES))
)
"""(colour, shape), the most frequent first; neighbours in rank share neither."""

_POPULARITY = 1 / (np.arange(len(CATEGORIES_BY_POPULARITY)) + 6.0)


@dataclass(frozen=True)
class StillObject:
    """One shape in an image.

    Attributes:
        color: Word of its colour.
        shape: Word of its shape.
        radius: In pixels.
        centre: (column, row) in pixels.
    """

    color: str
    shape: str
    radius: float
    centre: tuple[float, float]

    @property
    def name(self) -> str:
        """Colour and shape, unique in a scene."""
        return f"{self.color} {self.shape}"


@dataclass(frozen=True)
class ImageScene:
    """Objects of one image; they do not touch."""

    objects: tuple[StillObject, ...]


def sample_image_scene(generator: np.random.Generator) -> ImageScene:
    """Draw four to six objects of different categories."""
    count = int(generator.integers(4, 7))
    names = _names(generator, count)
    while True:
        objects: list[StillObject] = []
        for color, shape in names:
            low, high = _LARGE if generator.random() < 0.4 else _SMALL
            for _ in range(30):
                radius = generator.uniform(low, high)
                place = generator.uniform(radius + 2, IMAGE_SIZE_PIXELS - radius - 2, size=2)
                if all(
                    np.hypot(*(place - np.array(other.centre))) > 1.2 * (radius + other.radius)
                    for other in objects
                ):
                    objects.append(StillObject(color, shape, radius, (float(place[0]), float(place[1]))))
                    break
        if len(objects) == count:
            return ImageScene(tuple(objects))


def draw_image(
    generator: np.random.Generator, scene: ImageScene
) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    """Return the pixels, axes (1, rows, columns, RGB), and the owner of each pixel (-1: background)."""
    views = background(generator, 1, IMAGE_SIZE_PIXELS)
    owners = np.full(views.shape[:3], -1, dtype=np.int8)
    for index, one in enumerate(scene.objects):
        paint(
            views,
            owners,
            number=index,
            shape=one.shape,
            color=np.array(COLORS[one.color]) * generator.uniform(0.85, 1.0),
            centres=np.array([one.centre]),
            radius=one.radius,
        )
    views += generator.standard_normal(views.shape, dtype=np.float32) * _NOISE_LEVELS
    return np.clip(np.rint(views), 0, 255).astype(np.uint8), owners


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
