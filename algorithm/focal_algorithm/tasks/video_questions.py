"""Sub-tasks of shapes-video. Each asks one question of a scene, or none where the scene does not admit it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import permutations

import numpy as np

from focal_algorithm.prompts.media.media import Evidence, Question
from focal_algorithm.tasks.drawing import (
    COLORS,
    DIRECTIONS,
    OPPOSITE_SIDES,
    QUADRANTS,
    SHAPES,
    Scene,
    distance_beside,
    side_of,
)
from focal_algorithm.tasks.video_scene import quadrant

_CLEARLY_BESIDE_PIXELS = 9.0
_CLEARLY_EARLIER = 0.15
"""Fraction of the clip between two appearances that are asked to be ordered."""


def _existence(scene: Scene, generator: np.random.Generator) -> Question | None:
    names = {one.name for one in scene.objects}
    found: tuple[Evidence, ...] = ()
    if generator.random() < 0.5:
        index = int(generator.integers(len(scene.objects)))
        name, found = scene.objects[index].name, ((index, "life"),)
    else:
        # Mostly a colour and a shape that are both there, on different objects.
        crossed = sorted(
            {f"{one.color} {other.shape}" for one in scene.objects for other in scene.objects} - names
        )
        absent = sorted({f"{color} {shape}" for color in COLORS for shape in SHAPES} - names)
        pool = crossed if crossed and generator.random() < 0.8 else absent
        name = pool[generator.integers(len(pool))]
    answer = "yes" if name in names else "no"
    return Question("existence", f"is there a {name}?", answer, ("yes", "no"), found)


def _count(scene: Scene, generator: np.random.Generator) -> Question | None:
    words = [word for one in scene.objects for word in (one.color, one.shape)]
    by_count: dict[int, list[str]] = {}
    for word, times in sorted(Counter(words).items()):
        by_count.setdefault(times, []).append(word)
    by_count[0] = sorted({*COLORS, *SHAPES} - set(words))
    # Zero is easy and three is rare: draw the answer first.
    times = int(generator.choice(sorted(by_count)))
    word = by_count[times][generator.integers(len(by_count[times]))]
    evidence = tuple((index, "life") for index in scene.named(word))
    text = f"how many {word} objects are there?"
    return Question("count", text, str(times), ("0", "1", "2", "3", "4"), evidence)  # type: ignore[arg-type]


def _color(scene: Scene, generator: np.random.Generator) -> Question | None:
    unique = _unique(scene, "shape")
    if not unique:
        return None
    index = unique[generator.integers(len(unique))]
    one = scene.objects[index]
    return Question("color", f"what color is the {one.shape}?", one.color, tuple(COLORS), ((index, "life"),))


def _shape(scene: Scene, generator: np.random.Generator) -> Question | None:
    unique = _unique(scene, "color")
    if not unique:
        return None
    index = unique[generator.integers(len(unique))]
    one = scene.objects[index]
    text = f"what shape is the {one.color} object?"
    return Question("shape", text, one.shape, SHAPES, ((index, "life"),))


def _direction(scene: Scene, generator: np.random.Generator) -> Question | None:
    index = int(generator.integers(len(scene.objects)))
    text = f"which way does the {_reference(scene, index, generator)} move?"
    return Question("direction", text, scene.objects[index].direction, DIRECTIONS, ((index, "life"),))


def _start(scene: Scene, generator: np.random.Generator) -> Question | None:
    index = int(generator.integers(len(scene.objects)))
    text = f"where does the {_reference(scene, index, generator)} start?"
    return Question("start", text, quadrant(scene.objects[index].start), QUADRANTS, ((index, "start"),))


def _end(scene: Scene, generator: np.random.Generator) -> Question | None:
    index = int(generator.integers(len(scene.objects)))
    text = f"where does the {_reference(scene, index, generator)} end?"
    return Question("end", text, quadrant(scene.objects[index].end), QUADRANTS, ((index, "end"),))


def _order(scene: Scene, generator: np.random.Generator) -> Question | None:
    objects, least = scene.objects, _CLEARLY_EARLIER * scene.frames
    pairs = [
        (first, second)
        for first, second in permutations(range(len(objects)), 2)
        if objects[second].first - objects[first].first >= least
        and objects[first].color != objects[second].color
    ]
    return _which(scene, generator, "order", "appears first", pairs, "start")


def _speed(scene: Scene, generator: np.random.Generator) -> Question | None:
    objects = scene.objects
    pairs = [
        (fast, slow)
        for fast, slow in permutations(range(len(objects)), 2)
        if objects[fast].is_fast and not objects[slow].is_fast and objects[fast].color != objects[slow].color
    ]
    return _which(scene, generator, "speed", "moves faster", pairs, "life")


def _relation(scene: Scene, generator: np.random.Generator) -> Question | None:
    side = tuple(OPPOSITE_SIDES)[generator.integers(4)]
    pairs = [pair for pair in permutations(scene.at_end(), 2) if _is_beside(scene, pair[0], pair[1], side)]
    if not pairs:
        return None
    one, other = pairs[generator.integers(len(pairs))]
    is_true = generator.random() < 0.5
    subject, reference = (one, other) if is_true else (other, one)
    text = f"is the {scene.objects[subject].name} {side_of(side)} the {scene.objects[reference].name} at the end?"
    evidence: tuple[Evidence, ...] = ((one, "end"), (other, "end"))
    return Question("relation", text, "yes" if is_true else "no", ("yes", "no"), evidence)


def _two_hop(scene: Scene, generator: np.random.Generator) -> Question | None:
    """Ask for the colour of the one object on a side of an object that is named by its shape or colour."""
    options: list[tuple[int, int, str]] = []
    for reference in scene.at_end():
        for side in OPPOSITE_SIDES:
            others = [other for other in scene.at_end() if other != reference]
            beside = [other for other in others if _is_beside(scene, other, reference, side)]
            opposite = [
                other for other in others if _is_beside(scene, other, reference, OPPOSITE_SIDES[side])
            ]
            # One on that side, none in doubt; at least one elsewhere to be confused with.
            if len(beside) == 1 and len(opposite) == len(others) - 1 and opposite:
                options.append((reference, beside[0], side))
    if not options:
        return None
    reference, target, side = options[generator.integers(len(options))]
    named = _reference(scene, reference, generator)
    text = f"what color is the object {side_of(side)} the {named} at the end?"
    return Question("two-hop", text, scene.objects[target].color, tuple(COLORS), ((target, "end"),))


def _other(scene: Scene, generator: np.random.Generator) -> Question | None:
    """Ask for the twin of an object: the other one of the same shape, or of the same colour."""
    objects = scene.objects
    is_color = generator.random() < 0.5
    kept = "shape" if is_color else "color"
    words = Counter(getattr(one, kept) for one in objects)
    pairs = [
        (one, other)
        for one, other in permutations(range(len(objects)), 2)
        if getattr(objects[one], kept) == getattr(objects[other], kept)
        and words[getattr(objects[one], kept)] == 2
    ]
    if not pairs:
        return None
    one, other = pairs[generator.integers(len(pairs))]
    first, second = objects[one], objects[other]
    if is_color:
        text = f"one {first.shape} is {first.color}, what color is the other?"
        answer, choices = second.color, tuple(COLORS)
    else:
        text = f"one {first.color} object is a {first.shape}, what shape is the other?"
        answer, choices = second.shape, SHAPES
    return Question("other", text, answer, choices, ((other, "life"),))


def _which(
    scene: Scene,
    generator: np.random.Generator,
    kind: str,
    verb: str,
    pairs: list[tuple[int, int]],
    window: str,
) -> Question | None:
    """Ask which of two objects of different colour; the answer is the colour of the first of a pair."""
    if not pairs:
        return None
    right, wrong = pairs[generator.integers(len(pairs))]
    named = [scene.objects[index] for index in generator.permutation([right, wrong])]
    text = f"which {verb}, the {named[0].name} or the {named[1].name}?"
    evidence: tuple[Evidence, ...] = ((right, window), (wrong, window))  # type: ignore[assignment]
    answer = scene.objects[right].color
    return Question(kind, text, answer, (named[0].color, named[1].color), evidence)


def _unique(scene: Scene, attribute: str) -> list[int]:
    words = Counter(getattr(one, attribute) for one in scene.objects)
    return [index for index, one in enumerate(scene.objects) if words[getattr(one, attribute)] == 1]


def _reference(scene: Scene, index: int, generator: np.random.Generator) -> str:
    """Return colour and shape, or sometimes one of them where it suffices."""
    one = scene.objects[index]
    short = []
    if index in _unique(scene, "shape"):
        short.append(one.shape)
    if index in _unique(scene, "color"):
        short.append(f"{one.color} object")
    if short and generator.random() < 0.4:
        return short[generator.integers(len(short))]
    return one.name


def _is_beside(scene: Scene, one: int, other: int, side: str) -> bool:
    """Return whether ``one`` is clearly on that side of ``other`` in the last frame, which both reach."""
    here, there = scene.objects[one].end, scene.objects[other].end
    return distance_beside(here, there, side) >= _CLEARLY_BESIDE_PIXELS


VIDEO_KINDS: dict[str, Callable[[Scene, np.random.Generator], Question | None]] = {
    "existence": _existence,
    "count": _count,
    "color": _color,
    "shape": _shape,
    "direction": _direction,
    "start": _start,
    "end": _end,
    "order": _order,
    "speed": _speed,
    "relation": _relation,
    "two-hop": _two_hop,
    "other": _other,
}
"""Sub-task to the function that asks it; None where the scene does not admit it."""
