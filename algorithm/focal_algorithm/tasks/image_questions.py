"""Sub-tasks on images. Each asks a pair of questions, one to be answered yes and one no, as MME does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations

import numpy as np

from focal_algorithm.prompts.media.media import Question
from focal_algorithm.tasks.drawing import COLORS, OPPOSITE_SIDES, SHAPES, Scene, distance_beside, side_of

_CLEARLY_BESIDE_PIXELS = 10.0
_DOUBTFUL_PIXELS = 3.0
_CLEARLY_LARGER_PIXELS = 2.5

Pair = tuple[Question, Question]


def _object_beside(scene: Scene, reference: int, side: str) -> int | None:
    """Return the only object on a side of another; None if there is not exactly one, or one is in doubt."""
    others = [other for other in range(len(scene.objects)) if other != reference]
    distances = {
        other: distance_beside(scene.objects[other].start, scene.objects[reference].start, side)
        for other in others
    }
    near = [other for other, distance in distances.items() if distance > -_DOUBTFUL_PIXELS]
    if len(near) == 1 and distances[near[0]] >= _CLEARLY_BESIDE_PIXELS:
        return near[0]
    return None


def open_question(scene: Scene, generator: np.random.Generator) -> Question | None:
    """Ask for a word instead of yes or no, in training: of a kind drawn at random, or of the last where it has none."""
    index = int(generator.integers(len(scene.objects)))
    kinds = tuple(OPEN_KINDS)
    found = OPEN_KINDS[kinds[generator.integers(len(kinds))]](scene, generator, index)
    found = found or OPEN_KINDS[kinds[-1]](scene, generator, index)
    return None if found is None else replace(found, kind="open")


def _open_color(scene: Scene, _generator: np.random.Generator, index: int) -> Question | None:
    one = scene.objects[index]
    if len(scene.named(one.shape)) != 1:
        return None
    return Question("color", f"what color is the {one.shape}?", one.color, tuple(COLORS), ((index, "life"),))


def _open_shape(scene: Scene, _generator: np.random.Generator, index: int) -> Question | None:
    one = scene.objects[index]
    if len(scene.named(one.color)) != 1:
        return None
    return Question("shape", f"what shape is the {one.color} object?", one.shape, SHAPES, ((index, "life"),))


def _open_count(scene: Scene, generator: np.random.Generator, index: int) -> Question:
    one = scene.objects[index]
    word = one.color if generator.random() < 0.5 else one.shape
    seen = tuple((index, "life") for index in scene.named(word))
    text = f"how many {word} objects are there?"
    return Question("count", text, str(len(seen)), tuple("0123456"), seen)  # type: ignore[arg-type]


def _open_reading(scene: Scene, generator: np.random.Generator, _index: int) -> Question | None:
    found = _some_beside(scene, generator)
    if found is None:
        return None
    reference, side, target = found
    text = f"what color is the object {side_of(side)} the {scene.objects[reference].name}?"
    return Question("reading", text, scene.objects[target].color, tuple(COLORS), ((target, "life"),))


OPEN_KINDS: dict[str, Callable[[Scene, np.random.Generator, int], Question | None]] = {
    "color": _open_color,
    "shape": _open_shape,
    "count": _open_count,
    "reading": _open_reading,
}
"""Sub-task to the function that asks for a word; the number is that of an object; None where the scene admits none."""


def _existence(scene: Scene, generator: np.random.Generator) -> Pair | None:
    names = {one.name for one in scene.objects}
    crossed = sorted({f"{one.color} {two.shape}" for one in scene.objects for two in scene.objects} - names)
    if not crossed:
        return None
    index = int(generator.integers(len(scene.objects)))
    absent = crossed[generator.integers(len(crossed))]
    present = scene.objects[index].name
    return (
        _yes_no("existence", f"is there a {present} in the image?", True, index),
        _yes_no("existence", f"is there a {absent} in the image?", False),
    )


def _count(scene: Scene, generator: np.random.Generator) -> Pair | None:
    words = Counter(word for one in scene.objects for word in (one.color, one.shape))
    several = sorted(word for word, times in words.items() if times >= 2)
    pool = several if several and generator.random() < 0.7 else sorted(words)
    word = pool[generator.integers(len(pool))]
    right = words[word]
    wrong = max(1, right + (1 if generator.random() < 0.5 else -1))
    if wrong == right:
        wrong = right + 1
    return (
        _yes_no("count", f"are there {right} {word} objects?", True, *scene.named(word)),
        _yes_no("count", f"are there {wrong} {word} objects?", False, *scene.named(word)),
    )


def _position(scene: Scene, generator: np.random.Generator) -> Pair | None:
    side = tuple(OPPOSITE_SIDES)[generator.integers(4)]
    pairs = [
        pair
        for pair in permutations(range(len(scene.objects)), 2)
        if distance_beside(scene.objects[pair[0]].start, scene.objects[pair[1]].start, side)
        >= _CLEARLY_BESIDE_PIXELS
    ]
    if not pairs:
        return None
    one, other = pairs[generator.integers(len(pairs))]
    first, second = scene.objects[one].name, scene.objects[other].name
    return (
        _yes_no("position", f"is the {first} {side_of(side)} the {second}?", True, one, other),
        _yes_no("position", f"is the {second} {side_of(side)} the {first}?", False, one, other),
    )


def _color(scene: Scene, generator: np.random.Generator) -> Pair | None:
    single = [index for index, one in enumerate(scene.objects) if len(scene.named(one.shape)) == 1]
    if not single:
        return None
    index = single[generator.integers(len(single))]
    one = scene.objects[index]
    return (
        _yes_no("color", f"is the {one.shape} {one.color}?", True, index),
        _yes_no("color", f"is the {one.shape} {_other_color(scene, one.color, generator)}?", False, index),
    )


def _reference(scene: Scene, generator: np.random.Generator) -> Pair | None:
    found = _some_beside(scene, generator)
    if found is None:
        return None
    reference, side, target = found
    one = scene.objects[target]
    text = f"is the object {side_of(side)} the {scene.objects[reference].name}"
    wrong = _other_color(scene, one.color, generator)
    return (
        _yes_no("reference", f"{text} {one.color}?", True, target),
        _yes_no("reference", f"{text} {wrong}?", False, target),
    )


def _size(scene: Scene, generator: np.random.Generator) -> Pair | None:
    pairs = [
        (large, small)
        for large, small in permutations(range(len(scene.objects)), 2)
        if scene.objects[large].radius - scene.objects[small].radius >= _CLEARLY_LARGER_PIXELS
    ]
    if not pairs:
        return None
    large, small = pairs[generator.integers(len(pairs))]
    word = "larger" if generator.random() < 0.5 else "smaller"
    first, second = (large, small) if word == "larger" else (small, large)
    one, other = scene.objects[first].name, scene.objects[second].name
    return (
        _yes_no("size", f"is the {one} {word} than the {other}?", True, first, second),
        _yes_no("size", f"is the {other} {word} than the {one}?", False, first, second),
    )


def _yes_no(kind: str, text: str, is_yes: bool, *seen: int) -> Question:
    evidence = tuple((index, "life") for index in seen)
    return Question(kind, text, "yes" if is_yes else "no", ("yes", "no"), evidence)  # type: ignore[arg-type]


def _some_beside(scene: Scene, generator: np.random.Generator) -> tuple[int, str, int] | None:
    options = [
        (reference, side, target)
        for reference in range(len(scene.objects))
        for side in OPPOSITE_SIDES
        if (target := _object_beside(scene, reference, side)) is not None
    ]
    return options[generator.integers(len(options))] if options else None


def _other_color(scene: Scene, color: str, generator: np.random.Generator) -> str:
    """Return another colour, mostly one that another object has."""
    present = sorted({one.color for one in scene.objects} - {color})
    pool = present if present and generator.random() < 0.8 else sorted(set(COLORS) - {color})
    return pool[generator.integers(len(pool))]


IMAGE_KINDS: dict[str, Callable[[Scene, np.random.Generator], Pair | None]] = {
    "existence": _existence,
    "count": _count,
    "position": _position,
    "color": _color,
    "reference": _reference,
    "size": _size,
}
"""Sub-task to the function that asks a question with the answer yes and one with no; None where a scene admits none."""
