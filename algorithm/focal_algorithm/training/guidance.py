"""Losses on where text looks: late, at the evidence, and little in the early layers.

A small decoder that is only asked for the right answer reads the picture in its first layer; dropping visual
tokens later then costs nothing, unlike in large models, where text gathers visual facts in the middle layers
(Zhang et al. 2024, arXiv 2411.18620). These losses move the reading to where large models have it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from focal_algorithm.training.batches import MOST_OBJECTS, WINDOWS, QuestionBatch

__all__ = ["Guidance"]

_LEAST_MASS = 1e-20
"""Keeps logarithms finite; far below what softmax leaves to a token, so that shares stay meaningful."""
_LEAST_SEEN = 1e-3
_LIVES = [1 + one * len(WINDOWS) for one in range(MOST_OBJECTS)]
_ENOUGH_NAMED, _ENOUGH_SEEN = 0.6, 0.3
"""Attention beyond this earns nothing: a word's other attention lets a head tell how much there was to see, as
counting needs; the answering token must read words as well. Assumed."""
_FREE_MASS = 0.02
"""Attention that quiet layers may spend on visual tokens at no cost: enough to rank them. Assumed."""


@dataclass(frozen=True)
class Guidance:
    """Which layers read.

    Attributes:
        quiet_layers: Leading layers in which text should spend little attention on visual tokens.
        naming_layer: Layer in which a word for a colour or a shape should look at what it names.
        reading_layers: Layers in which the answering token should look at the evidence.
    """

    quiet_layers: int = 5
    naming_layer: int = 5
    reading_layers: tuple[int, ...] = (6, 7)

    def losses(self, masses: list[Tensor], batch: QuestionBatch) -> dict[str, Tensor]:
        """Return the losses.

        Args:
            masses: Per layer, attention of text rows to targets, axes (batch, heads, Q * slot, C).
            batch: The questions.
        """
        size, questions, slot = batch.token_ids.shape
        is_text = torch.arange(slot, device=batch.answer_rows.device) <= batch.answer_rows[..., None]
        is_naming = batch.mentions.any(-1)
        mass, early, named, seen = [], [], [], []
        for layer, targets in enumerate(masses):
            shown = targets.unflatten(2, (questions, slot))
            matching = (shown * batch.mentions[:, None]).sum(-1)
            if layer < self.quiet_layers:
                total = shown[..., 0]
                mass.append((total.mean(1)[is_text] - _FREE_MASS).relu().mean())
                # Of the little attention there is: words look at what they name, all text looks at objects.
                early.append(-_share(shown[..., _LIVES].sum(-1), total)[is_text].mean())
                early.append(-_share(matching, total)[is_naming].mean())
            if layer == self.naming_layer:
                named.append(_missing(matching.mean(1), _ENOUGH_NAMED)[is_naming].mean())
            if layer in self.reading_layers:
                rows = batch.answer_rows[..., None, None].expand(size, questions, 1, shown.shape[-1])
                at_answer = shown.mean(1).gather(2, rows)[:, :, 0]
                found = (at_answer * batch.evidence).sum(-1)
                seen.append(_missing(found, _ENOUGH_SEEN)[batch.evidence.any(-1)].mean())
        return {
            "early mass": torch.stack(mass).mean(),
            "early share": torch.stack(early).mean(),
            "named": torch.stack(named).mean(),
            "evidence": torch.stack(seen).mean(),
        }


def _missing(mass: Tensor, enough: float) -> Tensor:
    return -(mass.clamp(max=enough) + _LEAST_SEEN).log()


def _share(part: Tensor, total: Tensor) -> Tensor:
    """Return the logarithm of part / total, averaged over heads; axes (batch, Q, slot)."""
    return ((part + _LEAST_MASS) / (total + _LEAST_MASS)).log().clamp(min=-20).mean(1)
