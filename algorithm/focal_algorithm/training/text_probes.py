"""Linear probes on words that name an object: what the answer needs must have arrived there."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from focal_algorithm.tasks.drawing import COLORS, DIRECTIONS, SHAPES
from focal_algorithm.training.batches import IGNORED, QuestionBatch
from focal_algorithm.training.object_labels import NUMBERS, ObjectLabels

__all__ = ["TextProbes"]


class TextProbes(nn.Module):
    """Probes on hidden states of text.

    Args:
        width: Of the decoder.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.color = nn.Linear(width, len(COLORS))
        self.shape = nn.Linear(width, len(SHAPES))
        self.direction = nn.Linear(width, len(DIRECTIONS))
        self.speed = nn.Linear(width, 2)
        self.numbers = nn.Linear(width, NUMBERS)
        self.found = nn.Linear(width, 2)
        self.pair = nn.Linear(width, 2 * NUMBERS)

    def losses(
        self, hidden: Tensor, answering: Tensor, batch: QuestionBatch, labels: ObjectLabels
    ) -> dict[str, Tensor]:
        """Return losses on words that name one object, and on whether a colour and a shape name any.

        Args:
            hidden: Axes (batch, Q, slot, width).
            answering: Of the token that answers, which must know which of two objects is which; axes
                (batch, Q, width).
            batch: The questions.
            labels: Of their objects.
        """
        is_naming = batch.subjects != IGNORED
        rows = torch.arange(len(hidden), device=hidden.device)[:, None, None].expand_as(is_naming)[is_naming]
        objects, words = batch.subjects[is_naming], hidden[is_naming].float()
        numbers = (self.numbers(words) - labels.numbers[rows, objects]).abs().mean()
        kinds = {
            name: _loss(getattr(self, name)(words), getattr(labels, name)[rows, objects])
            for name in ("color", "shape", "direction", "speed")
        }
        return {
            "word category": kinds["color"] + kinds["shape"],
            "word numbers": numbers,
            "word motion": kinds["direction"] + kinds["speed"],
            "pair numbers": self._pair_loss(answering, batch, labels),
            "word found": _loss(self.found(hidden.float()).flatten(0, 2), batch.found.flatten()),
        }

    def _pair_loss(self, answering: Tensor, batch: QuestionBatch, labels: ObjectLabels) -> Tensor:
        is_named = batch.pair != IGNORED
        rows = torch.arange(len(answering), device=answering.device)[:, None, None].expand_as(is_named)[
            is_named
        ]
        guesses = self.pair(answering).float().unflatten(-1, (2, NUMBERS))[is_named]
        total = (guesses - labels.numbers[rows, batch.pair[is_named]]).abs().mean(-1).sum()
        return total / is_named.sum().clamp(min=1)


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean loss, 0 where nothing is labelled."""
    total = functional.cross_entropy(logits.float(), labels, ignore_index=IGNORED, reduction="sum")
    return total / (labels != IGNORED).sum().clamp(min=1)
