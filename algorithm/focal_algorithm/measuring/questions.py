"""The questions of a measurement, with their pictures."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

from focal_algorithm.inputs.source import MediaSample
from focal_algorithm.measuring.settings import MeasureSettings
from focal_algorithm.tasks import TASKS
from focal_algorithm.tasks.question import Question
from focal_algorithm.tasks.sample import TaskSample

__all__ = ["Asked", "asked_questions", "traced_places"]


@dataclass(frozen=True)
class Asked:
    """One question.

    Attributes:
        sample: What it is about; the same object for all questions of a picture.
        question: With its right answer.
        number: Within its picture.
    """

    sample: TaskSample
    question: Question
    number: int

    def media(self) -> MediaSample:
        """Return pictures and text as the input of a run."""
        media = self.sample.media()
        return replace(
            media, sample_id=f"{media.sample_id}-{self.number}", question=self.question.text
        )


def asked_questions(settings: MeasureSettings) -> list[Asked]:
    """Return the first questions of the split, in order."""
    make = TASKS.load(settings.task)
    found: list[Asked] = []
    for index in itertools.count():
        sample = make(settings.data_seed, settings.split, index, **settings.task_options)
        found += [Asked(sample, question, number) for number, question in enumerate(sample.questions)]
        if len(found) >= settings.questions:
            return found[: settings.questions]
    raise AssertionError  # counting does not end


def traced_places(questions: int, samples: int) -> list[int]:
    """Return the places of the traced questions, evenly spaced from the first."""
    return [place * questions // samples for place in range(samples)]
