"""The questions of a procedural benchmark, in the order in which ``focal eval`` asks them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from focal_algorithm.prompts.media.media import Question
from focal_algorithm.tasks.asking import BENCHMARKS
from focal_algorithm.tasks.sample import StoredSample
from focal_algorithm.tasks.store import load_split
from focal_common.errors import ConfigError, near_matches

__all__ = ["BENCHMARKS", "Asked", "QuestionSet", "load_questions"]


@dataclass(frozen=True)
class Asked:
    """One question.

    Attributes:
        number: As ``focal eval`` numbers the documents of a task.
        picture: Index of the sample it is about.
        kind: Sub-task.
        text: As the model reads it.
        answer: Right word.
        choices: All words that could answer it.
        first: Question of an earlier turn, about other objects, by which the pictures were compressed; empty for none.
    """

    number: int
    picture: int
    kind: str
    text: str
    answer: str
    choices: tuple[str, ...]
    first: str = ""


@dataclass(frozen=True)
class QuestionSet:
    """Questions with their pictures.

    Attributes:
        benchmark: Name in `BENCHMARKS`.
        seed: Seed of the data set.
        samples: Pictures and clips.
        asked: Questions about them, numbered from 0.
        manifest: Manifest of the data: counts and hash.
    """

    benchmark: str
    seed: int
    samples: tuple[StoredSample, ...]
    asked: tuple[Asked, ...]
    manifest: dict[str, Any]


def load_questions(
    benchmark: str,
    limit: int | None = None,
    *,
    seed: int = 0,
    split: str = "test",
    samples: int | None = None,
    track: Callable[[Iterable[int]], Iterable[int]] = lambda items: items,
) -> QuestionSet:
    """Return the first questions of a benchmark; data is generated on first use.

    Args:
        benchmark: Name in `BENCHMARKS`.
        limit: First so many questions; None for all.
        seed: Seed of the data set; ``focal eval`` takes 0.
        split: ``train``, ``val`` or ``test``.
        samples: Pictures to generate; those of the benchmark if None.
        track: Wraps generation to show progress.

    Raises:
        ConfigError: No such benchmark or split, a limit below 1 or above what there is, or damaged data.
    """
    if benchmark not in BENCHMARKS:
        raise ConfigError(f"unknown benchmark '{benchmark}'; {near_matches(benchmark, BENCHMARKS)}")
    if limit is not None and limit < 1:
        raise ConfigError(f"questions must be at least 1, got {limit}")
    known = BENCHMARKS[benchmark]
    count = known.samples if samples is None else samples
    loaded = load_split(known.task, seed=seed, split=split, samples=count, track=track, **known.options)
    pairs = [
        (index, one, first)
        for index, sample in enumerate(loaded.samples)
        for one, first in (
            turns(sample.questions) if known.has_turns else ((one, "") for one in sample.questions)
        )
    ]
    if limit is not None and limit > len(pairs):
        raise ConfigError(
            f"questions: {benchmark} holds {len(pairs):,}, expected no more; got {limit:,}",
            about=("questions",),
        )
    asked = tuple(
        Asked(number, picture, one.kind, one.text, one.answer, one.choices, first)
        for number, (picture, one, first) in enumerate(pairs[:limit])
    )
    return QuestionSet(benchmark, seed, loaded.samples, asked, loaded.manifest)


def turns(questions: Sequence[Question]) -> list[tuple[Question, str]]:
    """Return each question twice: as the only one, then after a first turn about other objects.

    The first turn is the earliest question of the sample that is read from objects, none of which the second is read
    from; a question without one is left out. Sub-tasks of second turns end with ``, second turn``; those after the same
    first turn stand side by side, and share its cache.
    """
    found: dict[str, list[Question]] = {}
    for one in questions:
        own = {index for index, _ in one.evidence}
        for other in questions:
            if other is not one and other.evidence and own.isdisjoint(index for index, _ in other.evidence):
                found.setdefault(other.text, []).append(one)
                break
    asked = [one for group in found.values() for one in group]
    alone = [(one, "") for one in questions if one in asked]
    return alone + [
        (replace(one, kind=f"{one.kind}, second turn"), first)
        for first, group in found.items()
        for one in group
    ]
