"""POPE: does the model see objects that are not there (EMNLP 2023, arXiv:2305.10355)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from focal.studies.sparsezip.metrics.yes_no import Answer, Parser, parse
from focal_common.errors import ConfigError

__all__ = ["PopeScore", "pope_score"]


@dataclass(frozen=True)
class PopeScore:
    """Counts and rates of one variant; yes is the positive answer.

    Attributes:
        questions: All of them.
        unparsed: Answers in which neither yes nor no was found; always 0 by the official convention.
        true_positives: Of the parsed ones, as the next three.
        false_positives: Yes where no is right.
        true_negatives: No where no is right.
        false_negatives: No where yes is right.
    """

    questions: int
    unparsed: int
    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int

    @property
    def parsed(self) -> int:
        """Answers in which yes or no was found."""
        return self.questions - self.unparsed

    @property
    def correct(self) -> int:
        """Right answers."""
        return self.true_positives + self.true_negatives

    @property
    def accuracy(self) -> float:
        """Right answers over all questions: an unparsed answer is wrong."""
        return _share(self.correct, self.questions)

    @property
    def parsed_accuracy(self) -> float:
        """Right answers over parsed ones."""
        return _share(self.correct, self.parsed)

    @property
    def precision(self) -> float:
        """True over all positive answers."""
        return _share(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """True positives over parsed questions whose answer is yes."""
        return _share(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall: what papers print as POPE."""
        return _share(2 * self.precision * self.recall, self.precision + self.recall)

    @property
    def yes_ratio(self) -> float:
        """Positive over parsed answers."""
        return _share(self.true_positives + self.false_positives, self.parsed)


def pope_score(answers: Sequence[str], truths: Sequence[Answer], parser: Parser = "repo") -> PopeScore:
    """Count the answers to one variant.

    Args:
        answers: Text of the model.
        truths: Right answers.
        parser: ``repo``: first whole word yes or no, else unparsed; ``official``: anything that denies nothing is
            yes.

    Raises:
        ConfigError: The two differ in length, or a right answer is neither yes nor no.
    """
    if len(answers) != len(truths):
        raise ConfigError(f"{len(answers)} answers to {len(truths)} questions; expected one each")
    counts = dict.fromkeys(((said, true) for said in ("yes", "no", None) for true in ("yes", "no")), 0)
    for text, truth in zip(answers, truths, strict=True):
        if truth not in ("yes", "no"):
            raise ConfigError(f"right answer '{truth}': expected yes or no")
        counts[parse(text, parser), truth] += 1
    return PopeScore(
        questions=len(answers),
        unparsed=counts[None, "yes"] + counts[None, "no"],
        true_positives=counts["yes", "yes"],
        false_positives=counts["yes", "no"],
        true_negatives=counts["no", "no"],
        false_negatives=counts["no", "yes"],
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
