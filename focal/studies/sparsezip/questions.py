"""The questions of the study, and a manifest that tells two question sets apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focal_algorithm.tasks.shapes_pope import VARIANTS
from focal_algorithm.tasks.store import TaskSplit, load_split
from focal_common.errors import ConfigError
from focal_common.provenance import content_hash

__all__ = ["BENCHMARKS", "Asked", "QuestionSet", "load_questions", "require_same_questions"]

BENCHMARKS = ("shapes-pope", "shapes-mme")


@dataclass(frozen=True)
class Asked:
    """One question.

    Attributes:
        benchmark: Name of the benchmark.
        split: Variant of shapes-pope, sub-task of shapes-mme.
        picture: Number of its picture in the question set.
        picture_id: Name of the picture, the same for every variant.
        text: As the model reads it.
        truth: ``yes`` or ``no``.
    """

    benchmark: str
    split: str
    picture: int
    picture_id: str
    text: str
    truth: str


@dataclass(frozen=True)
class QuestionSet:
    """Pictures and questions.

    Attributes:
        pictures: Axes (pictures, rows, columns, RGB), uint8.
        questions: In a fixed order.
        manifest: Counts per benchmark and split, source hashes, and a hash of every question and answer.
    """

    pictures: NDArray[np.uint8]
    questions: tuple[Asked, ...]
    manifest: dict[str, Any] = field(compare=False)

    def texts(self) -> list[list[str]]:
        """Return the different texts asked about each picture; the variants of shapes-pope share half of theirs."""
        found: list[dict[str, None]] = [{} for _ in self.pictures]
        for one in self.questions:
            found[one.picture].setdefault(one.text)
        return [list(texts) for texts in found]

    def only(self, benchmark: str, splits: Iterable[str] = ()) -> QuestionSet:
        """Return one benchmark of the set, or some splits of it, with its own manifest."""
        wanted = set(splits)
        chosen = [
            one
            for one in self.questions
            if one.benchmark == benchmark and (not wanted or one.split in wanted)
        ]
        known = sorted({one.split for one in self.questions if one.benchmark == benchmark})
        missing = sorted(wanted - set(known))
        if missing or not chosen:
            raise ConfigError(
                f"{benchmark}: no question of {', '.join(missing) or 'any kind'} among these pictures; expected some "
                f"of {', '.join(known) or '(none)'}, or more pictures"
            )
        numbers = sorted({one.picture for one in chosen})
        renamed = {old: new for new, old in enumerate(numbers)}
        moved = tuple(
            Asked(one.benchmark, one.split, renamed[one.picture], one.picture_id, one.text, one.truth)
            for one in chosen
        )
        return QuestionSet(self.pictures[numbers], moved, _manifest(moved, self.manifest["sources"]))


def load_questions(
    pope_pictures: int,
    mme_pictures: int,
    *,
    seed: int = 0,
    split: str = "test",
    track: Callable[[Iterable[int]], Iterable[int]] = lambda items: items,
) -> QuestionSet:
    """Return questions of shapes-pope (three variants) and shapes-mme, generated on first use.

    Args:
        pope_pictures: Pictures of shapes-pope, six questions per variant each; 0 for none.
        mme_pictures: Pictures of shapes-mme, two questions each, sub-tasks in turn; 0 for none.
        seed: Of the data.
        split: ``train``, ``val`` or ``test``.
        track: Wraps generation to show progress.

    Raises:
        ConfigError: No picture is asked for.
    """
    if pope_pictures < 0 or mme_pictures < 0 or not pope_pictures + mme_pictures:
        raise ConfigError(
            f"pictures of shapes-pope and shapes-mme: got {pope_pictures} and {mme_pictures}; expected at least "
            "one picture and no negative number"
        )
    frames: list[NDArray[np.uint8]] = []
    questions: list[Asked] = []
    sources: dict[str, str] = {}

    def take(name: str, loaded: TaskSplit, first: int, variant: str | None) -> None:
        sources[name] = loaded.manifest["sha256"]
        for number, sample in enumerate(loaded.samples):
            if first + number == len(frames):
                frames.append(sample.frames[0])
            picture_id = f"{loaded.manifest['task']}-{number}"
            questions.extend(
                Asked(
                    loaded.manifest["task"], variant or asked.kind, first + number, picture_id, asked.text,
                    asked.answer,
                )
                for asked in sample.questions
            )  # fmt: skip

    for variant in VARIANTS if pope_pictures else ():
        loaded = load_split(
            "shapes-pope", seed=seed, split=split, samples=pope_pictures, track=track, variant=variant
        )
        take(f"shapes-pope {variant}", loaded, 0, variant)
    if mme_pictures:
        loaded = load_split("shapes-mme", seed=seed, split=split, samples=mme_pictures, track=track)
        take("shapes-mme", loaded, len(frames), None)
    return QuestionSet(np.stack(frames), tuple(questions), _manifest(tuple(questions), sources))


def require_same_questions(first: dict[str, Any], second: dict[str, Any], names: tuple[str, str]) -> None:
    """Refuse to compare runs on different questions.

    Args:
        first: Manifest of a run's questions.
        second: Of the other run.
        names: Of the runs, for the message.

    Raises:
        ConfigError: The sets differ.
    """
    if first["sha256"] == second["sha256"]:
        return
    counts = " and ".join(f"{one['questions']} on {one['pictures']} pictures" for one in (first, second))
    raise ConfigError(
        f"{names[0]} and {names[1]} were asked different questions ({counts}; sha256 {first['sha256'][:12]} and "
        f"{second['sha256'][:12]}); expected the same data, seed and number of pictures"
    )


def _manifest(questions: tuple[Asked, ...], sources: dict[str, str]) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for one in questions:
        name = f"{one.benchmark} {one.split}"
        counts[name] = counts.get(name, 0) + 1
    rows = [[one.benchmark, one.split, one.picture_id, one.text, one.truth] for one in questions]
    return {
        "questions": len(questions),
        "pictures": len({one.picture for one in questions}),
        "questions_by_split": counts,
        "sources": sources,
        "sha256": content_hash([rows, sources]),
    }
