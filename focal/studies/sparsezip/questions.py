"""The questions of the study, and a manifest that tells two question sets apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focal_algorithm.evaluation.offline import questions as offline
from focal_algorithm.tasks.sample import StoredSample
from focal_algorithm.tasks.shapes_pope import VARIANTS
from focal_algorithm.tasks.store import load_split
from focal_common.errors import ConfigError
from focal_common.provenance import content_hash

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

    def prompts(self) -> list[tuple[int, str]]:
        """Return picture and text of each prompt once; the variants of shapes-pope share half of theirs."""
        asked = dict.fromkeys((one.picture, one.text) for one in self.questions)
        return sorted(asked, key=lambda key: key[0])

    def offline(self) -> offline.QuestionSet:
        """Return the prompts as the offline evaluator takes them; pictures are called ``picture N``."""
        samples = tuple(
            StoredSample(f"picture {number}", picture[None], (), is_video=False)
            for number, picture in enumerate(self.pictures)
        )
        asked = tuple(
            offline.Asked(number, picture, "", text, "", ("yes", "no"))
            for number, (picture, text) in enumerate(self.prompts())
        )
        return offline.QuestionSet("sparsezip", 0, samples, asked, {})

    def only(self, benchmark: str, splits: Iterable[str] = ()) -> QuestionSet:
        """Return one benchmark of the set, or some splits of it, with its own manifest."""
        wanted = set(splits)
        own = [one for one in self.questions if one.benchmark == benchmark]
        chosen = [one for one in own if not wanted or one.split in wanted]
        known = sorted({one.split for one in own})
        missing = sorted(wanted - set(known))
        if missing or not chosen:
            raise ConfigError(
                f"{benchmark}: no question of {', '.join(missing) or 'any kind'} among these pictures; expected some "
                f"of {', '.join(known) or '(none)'}, or more pictures"
            )
        numbers = sorted({one.picture for one in chosen})
        renamed = {old: new for new, old in enumerate(numbers)}
        moved = tuple(replace(one, picture=renamed[one.picture]) for one in chosen)
        return QuestionSet(self.pictures[numbers], moved, _manifest(moved, self.manifest["sources"]))


def load_questions(
    pope_pictures: int, mme_pictures: int, *, seed: int = 0, split: str = "test"
) -> QuestionSet:
    """Return questions of shapes-pope (three variants) and shapes-mme, generated on first use.

    Args:
        pope_pictures: Pictures of shapes-pope, six questions per variant each; 0 for none.
        mme_pictures: Pictures of shapes-mme, two questions each, sub-tasks in turn; 0 for none.
        seed: Of the data.
        split: ``train``, ``val`` or ``test``.

    Raises:
        ConfigError: No picture is asked for.
    """
    if pope_pictures < 0 or mme_pictures < 0 or not pope_pictures + mme_pictures:
        raise ConfigError(
            f"pictures of shapes-pope and shapes-mme: got {pope_pictures} and {mme_pictures}; expected at least "
            "one picture and no negative number"
        )
    # The variants of shapes-pope ask about the same pictures.
    wanted: list[tuple[str, int, int, dict[str, Any]]] = [
        ("shapes-pope", pope_pictures, 0, {"variant": variant}) for variant in VARIANTS if pope_pictures
    ]
    if mme_pictures:
        wanted.append(("shapes-mme", mme_pictures, pope_pictures, {}))
    frames: dict[int, NDArray[np.uint8]] = {}
    questions: list[Asked] = []
    sources: dict[str, str] = {}
    for task, count, first, options in wanted:
        loaded = load_split(task, seed=seed, split=split, samples=count, **options)
        variant = options.get("variant", "")
        sources[f"{task} {variant}".strip()] = loaded.manifest["sha256"]
        for number, sample in enumerate(loaded.samples):
            frames.setdefault(first + number, sample.frames[0])
            questions += [
                Asked(task, variant or one.kind, first + number, f"{task}-{number}", one.text, one.answer)
                for one in sample.questions
            ]
    pictures = np.stack([frames[number] for number in sorted(frames)])
    return QuestionSet(pictures, tuple(questions), _manifest(tuple(questions), sources))


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
    rows = [[one.benchmark, one.split, one.picture_id, one.text, one.truth] for one in questions]
    return {
        "questions": len(questions),
        "pictures": len({one.picture for one in questions}),
        "questions_by_split": dict(Counter(f"{one.benchmark} {one.split}" for one in questions)),
        "sources": sources,
        "sha256": content_hash([rows, sources]),
    }
