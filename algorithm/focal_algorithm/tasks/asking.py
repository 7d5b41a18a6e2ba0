"""Questions of a procedural benchmark as prompts of a run, and which choice an answer names."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar

from focal_algorithm.prompts.media.media import MediaSample, Question
from focal_algorithm.tasks import TASKS
from focal_algorithm.tasks.sample import SPLITS, StoredSample
from focal_algorithm.tasks.store import load_split
from focal_common.errors import ConfigError, near_matches
from focal_common.reading.values import whole_number


@dataclass(frozen=True)
class Benchmark:
    """A data set; the numbers are those of the task files of ``focal eval``, which a test compares.

    Attributes:
        task: Name in `TASKS`.
        samples: Pictures or clips.
        options: Options of the task.
        is_video: Whether samples are clips.
        has_turns: Whether each question is also asked in a second turn, on the cache that another one compressed.
    """

    task: str
    samples: int
    options: Mapping[str, Any] = field(default_factory=dict)
    is_video: bool = False
    has_turns: bool = False


BENCHMARKS: Mapping[str, Benchmark] = {
    "shapes-mme": Benchmark("shapes-mme", 600),
    "shapes-pope": Benchmark("shapes-pope", 200, {"variant": "adversarial"}),
    "shapes-pope-popular": Benchmark("shapes-pope", 200, {"variant": "popular"}),
    "shapes-pope-random": Benchmark("shapes-pope", 200, {"variant": "random"}),
    "shapes-video": Benchmark("shapes-video", 120, {"frames": 16}, is_video=True),
    "shapes-fine": Benchmark("shapes-fine", 200),
    "shapes-fine-turns": Benchmark("shapes-fine", 200, has_turns=True),
    "shapes-video-turns": Benchmark("shapes-video", 120, {"frames": 16}, is_video=True, has_turns=True),
}
"""By the names of ``focal eval``; any other generator goes by its own name."""

DEFAULT_QUESTIONS = 24
_QUESTIONS_PER_SAMPLE = 2
_FRAMES = (4, 32)  # as `shapes_video_sample`
_WORD = re.compile(r"[\w-]+")
_LETTER = re.compile(r"(?<![A-Za-z])([A-Z])(?![A-Za-z])")


@dataclass(frozen=True)
class Asked:
    """One question with the sample it is about.

    Attributes:
        sample: Pictures.
        number: Number of the question within its sample.
        question: With the right answer.
    """

    sample: StoredSample
    number: int
    question: Question

    def media(self) -> MediaSample:
        """Return pictures and question as the input of a run; the id is that of ``focal eval``."""
        name = f"{self.sample.sample_id}-{self.number}"
        return replace(self.sample.media(), sample_id=name, question=self.question.text, asked=self.question)


def asked_task(
    name: str, questions: int | None, samples: int | None, split: str, seed: int, frames: int
) -> AskedTask:
    """Return which questions a user asks for; None stands for the usual number, 0 for nothing.

    Raises:
        ConfigError: See `AskedTask`, or a number below 1.
    """
    for option, count in (("questions", questions), ("samples", samples)):
        if count is not None and count < 1:
            raise ConfigError(f"{option} must be at least 1, got {count}")
    return AskedTask(name, questions or 0, samples or 0, split, seed, frames)


@dataclass(frozen=True)
class AskedTask:
    """Which questions a run asks.

    Attributes:
        name: One of `BENCHMARKS`, or of `TASKS`.
        questions: In all, spread evenly over samples and sub-tasks; 0 for all questions of the samples.
        samples: Clips or images; 0 for half as many as questions. Both 0: 24 questions on 12 samples.
        split: ``train``, ``val`` or ``test``.
        seed: Seed of the data set.
        frames: Frames of a clip; images have none.
        answer_tokens: Most tokens of an answer, as in the task files of ``focal eval``.

    Raises:
        ConfigError: No such task or split, or a negative number.
    """

    answer_tokens: ClassVar[int] = 4

    name: str
    questions: int = 0
    samples: int = 0
    split: str = "test"
    seed: int = 0
    frames: int = 16

    def __post_init__(self) -> None:
        if self.name not in BENCHMARKS and self.name not in TASKS:
            raise ConfigError(f"task '{self.name}': {near_matches(self.name, {*BENCHMARKS, *TASKS})}")
        if self.name in BENCHMARKS and BENCHMARKS[self.name].has_turns:
            raise ConfigError(
                f"task '{self.name}': asks second turns on the cache of a first one, which 'focal arena' and "
                f"focal.compare_methods do; expected one turn, such as {BENCHMARKS[self.name].task}"
            )
        if self.split not in SPLITS:
            raise ConfigError(f"split '{self.split}': {near_matches(self.split, SPLITS)}")
        for name, option in (("questions", "questions"), ("samples", "samples"), ("seed", "task_seed")):
            if getattr(self, name) < 0:
                raise ConfigError(f"{option} must not be negative, got {getattr(self, name)}")

    def to_json(self) -> dict[str, Any]:
        """Return the request as JSON values, with the numbers that zeros stand for; ``all`` questions of a sample."""
        questions, samples = self._counts()
        return asdict(self) | {"questions": questions or "all", "samples": samples}

    def _counts(self) -> tuple[int, int]:
        """Return questions (0 for all) and samples."""
        questions = self.questions or (0 if self.samples else DEFAULT_QUESTIONS)
        return questions, self.samples or -(-questions // _QUESTIONS_PER_SAMPLE)

    def load(self, track: Callable[[Iterable[int]], Iterable[int]] = lambda items: items) -> list[Asked]:
        """Return the questions in the order of their samples; data is generated on first use.

        Args:
            track: Wraps generation to show progress.

        Raises:
            ConfigError: Fewer questions than asked for, frames out of range, or cached data that was changed.
        """
        known = BENCHMARKS.get(self.name, Benchmark(self.name, 0))
        generator, options = known.task, dict(known.options)
        if "frames" in inspect.signature(TASKS.load(generator)).parameters:
            if not _FRAMES[0] <= self.frames <= _FRAMES[1]:
                least, most = _FRAMES
                raise ConfigError(f"frames must be {least} to {most} for {self.name}, got {self.frames}")
            options["frames"] = self.frames
        questions, samples = self._counts()
        loaded = load_split(
            generator, seed=self.seed, split=self.split, samples=samples, track=track, **options
        )
        return chosen_questions(loaded.samples, questions)


def chosen_questions(samples: Sequence[StoredSample], count: int) -> list[Asked]:
    """Return questions spread evenly over samples, each time of the sub-task that was asked least so far.

    Args:
        samples: In order.
        count: How many; 0 for all.

    Raises:
        ConfigError: The samples hold fewer.
    """
    every = [[Asked(one, number, asked) for number, asked in enumerate(one.questions)] for one in samples]
    held = sum(map(len, every))
    if not count:
        return [one for group in every for one in group]
    if count > held:
        raise ConfigError(
            f"questions: {count} were asked for, but {len(samples)} samples hold {held}; give more samples"
        )
    chosen: list[list[Asked]] = [[] for _ in every]
    kinds: Counter[str] = Counter()
    while count:
        for left, taken in zip(every, chosen, strict=True):
            if left and count:
                # min takes the first of equals, so the order is that of the sample.
                one = min(left, key=lambda asked: kinds[asked.question.kind])
                left.remove(one)
                taken.append(one)
                kinds[one.question.kind] += 1
                count -= 1
    return [one for group in chosen for one in sorted(group, key=lambda asked: asked.number)]


def parse_choice(answer: str, choices: Sequence[str]) -> str | None:
    """Return the choice that the first word of an answer names, in any case; None where it names none."""
    first = _WORD.search(answer)
    word = first.group().lower() if first else ""
    return next((choice for choice in choices if choice.lower() == word), None)


def is_parsable(answer: str, form: str) -> bool:
    """Tell whether an answer has the form that a task asks for.

    Args:
        answer: As the model gave it.
        form: ``yes/no``; ``letter``, a capital letter that stands alone; or ``free``, anything but nothing.
    """
    if form == "yes/no":
        return parse_choice(answer, ("yes", "no")) is not None
    if form == "letter":
        return _LETTER.search(answer) is not None
    return bool(answer.strip())


def read_batch(text: str) -> int:
    """Return how many questions make a batch; 0 for as many as the memory takes (``auto``).

    Raises:
        ConfigError: Neither a whole number from 1 nor ``auto``.
    """
    with suppress(ValueError):
        count = 0 if text == "auto" else whole_number(text)
        if count > 0 or text == "auto":
            return count
    raise ConfigError(
        f"batch '{text}': expected a whole number of questions from 1, or auto", about=("batch", "batch_size")
    )
