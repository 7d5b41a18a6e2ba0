"""One question of a procedural benchmark, with what it takes to answer it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Evidence", "Question", "Window"]

Window = Literal["life", "start", "end"]
"""Which frames of an object matter: all in which it is visible, its first fifth, or its last fifth."""

Evidence = tuple[int, Window]
"""Index of an object of the scene, and the window in which it must be seen."""


@dataclass(frozen=True)
class Question:
    """A question with one right word.

    Attributes:
        kind: Sub-task.
        text: As the model reads it.
        answer: One word.
        choices: All words that could answer it, the right one among them.
        evidence: Objects that the answer is read from, without those that only lead to them; empty where the answer
            is that there is none.
    """

    kind: str
    text: str
    answer: str
    choices: tuple[str, ...]
    evidence: tuple[Evidence, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, tree: dict[str, Any]) -> Question:
        """Read what `to_json` gave, through a file or not."""
        evidence = tuple((index, window) for index, window in tree["evidence"])
        return cls(**tree | {"choices": tuple(tree["choices"]), "evidence": evidence})
