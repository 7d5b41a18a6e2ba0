"""MME: fourteen subtasks of yes-or-no questions in pairs (arXiv:2306.13394)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from focal_common.errors import ConfigError, near_matches
from focal_evaluation.metrics.yes_no import Answer, Parser, parse

__all__ = ["COGNITION", "PERCEPTION", "MmeAnswer", "MmeScore", "MmeTotal", "mme_score", "mme_total"]

PERCEPTION = (
    "existence",
    "count",
    "position",
    "color",
    "posters",
    "celebrity",
    "scene",
    "landmark",
    "artwork",
    "OCR",
)
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")

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


@dataclass(frozen=True)
class MmeTotal:
    """All subtasks in both conventions.

    Attributes:
        perception: Official sum, at most 2000; None if a subtask of it is missing.
        cognition: Official sum, at most 800; None likewise.
        missing: Subtasks without answers.
        macro_accuracy: Mean of the accuracies of the subtasks present.
        macro_accuracy_plus: Likewise of the paired ones.
        micro_accuracy: Right answers over all questions.
    """

    perception: float | None
    cognition: float | None
    missing: tuple[str, ...]
    macro_accuracy: float
    macro_accuracy_plus: float
    micro_accuracy: float

    @property
    def total(self) -> float | None:
        """Perception and cognition, at most 2800; None if one is missing."""
        if self.perception is None or self.cognition is None:
            return None
        return self.perception + self.cognition


def mme_score(answers: Iterable[MmeAnswer], parser: Parser = "repo") -> MmeScore:
    """Score one subtask. An image of which only one question was seen counts as wrong.

    Args:
        answers: In any order.
        parser: How an answer is read; see `focal_evaluation.metrics.yes_no`.
    """
    by_image: dict[str, list[bool]] = {}
    for answer in answers:
        is_right = parse(answer.text, parser) == answer.truth
        by_image.setdefault(answer.image_id, []).append(is_right)
    results = [is_right for image in by_image.values() for is_right in image]
    whole = [image for image in by_image.values() if len(image) >= _QUESTIONS_PER_IMAGE and all(image)]
    return MmeScore(len(results), sum(results), len(by_image), len(whole))


def mme_total(subtasks: Mapping[str, MmeScore]) -> MmeTotal:
    """Sum the subtasks; a missing one leaves its sum undefined rather than small.

    Raises:
        ConfigError: A subtask has an unknown name.
    """
    for name in subtasks:
        if name not in (*PERCEPTION, *COGNITION):
            raise ConfigError(f"unknown MME subtask '{name}'; {near_matches(name, PERCEPTION + COGNITION)}")
    scores = list(subtasks.values())
    count = max(len(scores), 1)
    questions = sum(score.questions for score in scores)
    return MmeTotal(
        perception=_sum(subtasks, PERCEPTION),
        cognition=_sum(subtasks, COGNITION),
        missing=tuple(name for name in (*PERCEPTION, *COGNITION) if name not in subtasks),
        macro_accuracy=math.fsum(score.accuracy for score in scores) / count,
        macro_accuracy_plus=math.fsum(score.accuracy_plus for score in scores) / count,
        micro_accuracy=sum(score.correct for score in scores) / questions if questions else 0.0,
    )


def _sum(subtasks: Mapping[str, MmeScore], names: Sequence[str]) -> float | None:
    if any(name not in subtasks for name in names):
        return None
    return math.fsum(subtasks[name].score for name in names)
