"""Scenes of moving shapes: who is where, from when to when."""

from __future__ import annotations

import numpy as np

from focal_algorithm.tasks.drawing import COLORS, DIRECTIONS, QUADRANTS, SHAPES, STEPS, Scene, SceneObject

VIDEO_SIZE_PIXELS = 64
_CLEAR_OF_CENTRE_PIXELS = 5.0
"""Starts and ends keep off the centre lines, so that the quadrant is never in doubt."""
_SLOW, _FAST = (22.0, 28.0), (50.0, 64.0)
"""Pixels per whole clip; the ranges differ by a factor of at least 1.8."""
_LIFE = (0.3, 0.65)
"""Visible part of the clip. Longer lives put an object into so many visual tokens that a random tenth of them loses
nothing, and methods cannot be told apart."""
_SHARED_ATTRIBUTE_SHARE = 0.7
"""How often two objects must share a colour, and how often a shape: distractors."""


def quadrant(place: tuple[float, float]) -> str:
    """Return the quarter of the picture a (column, row) lies in."""
    half = VIDEO_SIZE_PIXELS / 2
    return QUADRANTS[2 * int(place[1] >= half) + int(place[0] >= half)]


def sample_video_scene(generator: np.random.Generator, frames: int) -> Scene:
    """Draw three or four objects that never hide each other."""
    count = int(generator.integers(3, 5))
    names = _names(generator, count)
    while True:
        objects: list[SceneObject] = []
        for color, shape in names:
            for _ in range(30):
                one = _sample_object(generator, color, shape, frames)
                if one is not None and all(_apart(one, other) for other in objects):
                    objects.append(one)
                    break
        if len(objects) == count:
            return Scene(tuple(objects), frames)


def _names(generator: np.random.Generator, count: int) -> list[tuple[str, str]]:
    while True:
        picks = generator.choice(len(COLORS) * len(SHAPES), size=count, replace=False)
        names = [(tuple(COLORS)[pick // len(SHAPES)], SHAPES[pick % len(SHAPES)]) for pick in picks]
        shares = [len({name[part] for name in names}) < count for part in (0, 1)]
        wanted = generator.random(2) < _SHARED_ATTRIBUTE_SHARE
        if all(shared or not want for shared, want in zip(shares, wanted, strict=True)):
            return names


def _sample_object(generator: np.random.Generator, color: str, shape: str, frames: int) -> SceneObject | None:
    length = int(np.ceil(generator.uniform(*_LIFE) * frames))
    reaches_end = generator.random() < 0.6
    first = frames - length if reaches_end else int(generator.integers(0, frames - length + 1))
    direction = DIRECTIONS[generator.integers(len(DIRECTIONS))]
    is_fast = direction != "still" and bool(generator.random() < 0.5)
    low, high = _FAST if is_fast else _SLOW
    travel = generator.uniform(low, high) * (length - 1) / (frames - 1) if direction != "still" else 0.0
    step = np.array(STEPS.get(direction, (0, 0))) * travel
    radius = generator.uniform(5.5, 7.0)
    edge = 1.3 * radius
    lowest = np.maximum(edge, edge - step)
    highest = np.minimum(VIDEO_SIZE_PIXELS - edge, VIDEO_SIZE_PIXELS - edge - step)
    if (lowest > highest).any():
        return None
    start = generator.uniform(lowest, highest)
    end = start + step
    if np.abs(np.stack([start, end]) - VIDEO_SIZE_PIXELS / 2).min() < _CLEAR_OF_CENTRE_PIXELS:
        return None
    return SceneObject(
        color,
        shape,
        radius,
        (float(start[0]), float(start[1])),
        (float(end[0]), float(end[1])),
        first,
        first + length - 1,
        direction,
        is_fast,
    )


def _apart(one: SceneObject, other: SceneObject) -> bool:
    first, last = max(one.first, other.first), min(one.last, other.last)
    if first > last:
        return True
    here = one.centres()[first - one.first : last - one.first + 1]
    there = other.centres()[first - other.first : last - other.first + 1]
    return bool(np.linalg.norm(here - there, axis=1).min() > 1.1 * (one.radius + other.radius))
