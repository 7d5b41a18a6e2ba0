"""Answers read off a scene by parsing the question: shares nothing with the generator but the words."""

from __future__ import annotations

import re
from typing import Any

COLOR = r"(?:red|green|blue|yellow|purple|white)"
SHAPE = r"(?:circle|ring|wheel|dot)"


def named(scene: Any, words: str) -> Any:
    """The one object that 'red circle', 'circle' or 'red object' means."""
    parts = [word for word in words.split() if word != "object"]
    found = [one for one in scene.objects if all(part in (one.color, one.shape) for part in parts)]
    assert len(found) == 1, f"'{words}' means {len(found)} objects"
    return found[0]


def where(one: Any) -> tuple[float, float]:
    """Place in an image, or in the last frame of a video."""
    return one.end


def is_beside(one: Any, side: str, other: Any) -> bool:
    (x, y), (u, v) = where(one), where(other)
    return {"left of": x < u, "right of": x > u, "above": y < v, "below": y > v}[side]


def quarter(place: tuple[float, float]) -> str:
    return ("upper" if place[1] < 32 else "lower") + ("-left" if place[0] < 32 else "-right")


def speed(one: Any) -> float:
    (x, y), (u, v) = one.start, one.end
    return (abs(u - x) + abs(v - y)) / (one.last - one.first)


def heading(one: Any) -> str:
    (x, y), (u, v) = one.start, one.end
    across, down = u - x, v - y
    if abs(across) + abs(down) < 1e-9:
        return "still"
    if abs(across) > abs(down):
        return "right" if across > 0 else "left"
    return "down" if down > 0 else "up"


def yes(truth: bool) -> str:
    return "yes" if truth else "no"


def answer(scene: Any, text: str) -> str:
    """The right answer to any question of any benchmark."""
    for pattern, rule in RULES:
        match = re.fullmatch(pattern, text)
        if match:
            return str(rule(scene, *match.groups()))
    raise AssertionError(f"no rule for '{text}'")


def present(scene: Any, words: str) -> str:
    return yes(any(f"{one.color} {one.shape}" == words for one in scene.objects))


def count(scene: Any, word: str) -> int:
    return sum(word == one.color or word == one.shape for one in scene.objects)


def beside(scene: Any, side: str, reference: str) -> Any:
    other = named(scene, reference)
    last = max(getattr(one, "last", 0) for one in scene.objects)
    seen = [one for one in scene.objects if getattr(one, "last", 0) == last and one is not other]
    found = [one for one in seen if is_beside(one, side, other)]
    assert len(found) == 1, f"{len(found)} objects {side} the {reference}"
    return found[0]


def twin(scene: Any, attribute: str, word: str, other: str, value: str) -> str:
    found = [getattr(one, attribute) for one in scene.objects if getattr(one, other) == value]
    assert len(found) == 2
    found.remove(word)
    return found[0]


ANY = rf"((?:{COLOR} )?(?:{SHAPE}|object))"
SIDE = r"(left of|right of|above|below)"
RULES = [
    (rf"is there a ({COLOR} {SHAPE})(?: in the image)?\?", present),
    (rf"how many ({COLOR}|{SHAPE}) objects are there\?", count),
    (rf"are there (\d) ({COLOR}|{SHAPE}) objects\?", lambda s, n, w: yes(count(s, w) == int(n))),
    (rf"what color is the ({SHAPE})\?", lambda s, w: named(s, w).color),
    (rf"what shape is the ({COLOR} object)\?", lambda s, w: named(s, w).shape),
    (rf"which way does the {ANY} move\?", lambda s, w: heading(named(s, w))),
    (rf"where does the {ANY} start\?", lambda s, w: quarter(named(s, w).start)),
    (rf"where does the {ANY} end\?", lambda s, w: quarter(named(s, w).end)),
    (
        rf"which appears first, the {ANY} or the {ANY}\?",
        lambda s, a, b: min(named(s, a), named(s, b), key=lambda one: one.first).color,
    ),
    (
        rf"which moves faster, the {ANY} or the {ANY}\?",
        lambda s, a, b: max(named(s, a), named(s, b), key=speed).color,
    ),
    (
        rf"is the {ANY} {SIDE} the {ANY}(?: at the end)?\?",
        lambda s, a, side, b: yes(is_beside(named(s, a), side, named(s, b))),
    ),
    (
        rf"what color is the object {SIDE} the {ANY}(?: at the end)?\?",
        lambda s, side, a: beside(s, side, a).color,
    ),
    (
        rf"is the object {SIDE} the {ANY} ({COLOR})\?",
        lambda s, side, a, color: yes(beside(s, side, a).color == color),
    ),
    (rf"is the ({SHAPE}) ({COLOR})\?", lambda s, a, color: yes(named(s, a).color == color)),
    (
        rf"is the {ANY} (larger|smaller) than the {ANY}\?",
        lambda s, a, word, b: yes((named(s, a).radius > named(s, b).radius) == (word == "larger")),
    ),
    (
        rf"one ({SHAPE}) is ({COLOR}), what color is the other\?",
        lambda s, shape, color: twin(s, "color", color, "shape", shape),
    ),
    (
        rf"one ({COLOR}) object is a ({SHAPE}), what shape is the other\?",
        lambda s, color, shape: twin(s, "shape", shape, "color", color),
    ),
]
