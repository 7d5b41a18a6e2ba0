"""Which questions a model answered right under which condition, and what follows from that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from focal_common.statistics import paired_difference, wilson

__all__ = ["Measured"]


@dataclass
class Measured:
    """Which questions were answered right under which condition.

    Attributes:
        kinds: Sub-task of each question.
        pictures: Index of the sample that each question is about.
        luck: Chance of each question to be answered right by luck.
        right: Per condition, one value per question.
        common: How many of the questions, the first, are asked as often as the benchmark asks them; the others
            only add to rare sub-tasks.
    """

    kinds: list[str] = field(default_factory=list)
    pictures: list[int] = field(default_factory=list)
    luck: list[float] = field(default_factory=list)
    right: dict[str, list[bool]] = field(default_factory=dict)
    common: int = 0

    def asked(self, kind: str | None = None) -> list[int]:
        """Return the questions of a sub-task; those that make up the whole accuracy if None."""
        if kind is None:
            return list(range(self.common))
        return [index for index, name in enumerate(self.kinds) if name == kind]

    def accuracy(self, condition: str, kind: str | None = None) -> tuple[float, float, float, int]:
        """Return the proportion right with its 95 % interval, and the number of questions."""
        own = [self.right[condition][index] for index in self.asked(kind)]
        return (sum(own) / len(own), *wilson(sum(own), len(own)), len(own))

    def lucky(self, kind: str | None = None) -> float:
        """Return the accuracy of luck."""
        own = [self.luck[index] for index in self.asked(kind)]
        return sum(own) / len(own)

    def gain(self, better: str, worse: str | None, kind: str | None = None) -> tuple[float, float, float]:
        """Return how much more is right under a condition than under another, or than by luck, with its interval."""
        asked = self.asked(kind)
        other: Sequence[float] = self.luck if worse is None else self.right[worse]
        return paired_difference(
            [self.right[better][index] for index in asked],
            [other[index] for index in asked],
            [self.pictures[index] for index in asked],
        )
