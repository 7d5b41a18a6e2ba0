"""MME: fourteen subtasks of yes-or-no questions in pairs (arXiv:2306.13394)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from focal.studies.sparsezip.metrics.yes_no import Answer, Parser, parse

__all__ = ["MmeAnswer", "MmeScore", "mme_score"]

_QUESTIONS_PER_IMAGE = 2


@dataclass(frozen=True)
class MmeAnswer:
    """One answered question.

    Attributes:
        image_id: Picture, shared by the two questions of a pair.
        truth: Right answer.
        text: Answer of the model.
    """

    image_id: str
    truth: Answer
    text: str


@dataclass(frozen=True)
class MmeScore:
    """One subtask.

    Attributes:
        questions: All of them. correct: Right answers.
        images: All of them. correct_images: Those with both questions seen and right.
    """

    questions: int
    correct: int
    images: int
    correct_images: int

    @property
    def accuracy(self) -> float:
        """Right answers over questions."""
        return self.correct / self.questions if self.questions else 0.0

    @property
    def accuracy_plus(self) -> float:
        """Images with both answers right over images."""
        return self.correct_images / self.images if self.images else 0.0

    @property
    def score(self) -> float:
        """Official score of a subtask, at most 200."""
        return 100 * self.accuracy + 100 * self.accuracy_plus


def mme_score(answers: Iterable[MmeAnswer], parser: Parser = "repo") -> MmeScore:
    """Score one subtask. An image of which only one question was seen counts as wrong.

    Args:
        answers: In any order.
        parser: How an answer is read; see `focal.studies.sparsezip.metrics.yes_no`.
    """
    by_image: dict[str, list[bool]] = {}
    for answer in answers:
        is_right = parse(answer.text, parser) == answer.truth
        by_image.setdefault(answer.image_id, []).append(is_right)
    results = [is_right for image in by_image.values() for is_right in image]
    whole = [image for image in by_image.values() if len(image) >= _QUESTIONS_PER_IMAGE and all(image)]
    return MmeScore(len(results), sum(results), len(by_image), len(whole))
