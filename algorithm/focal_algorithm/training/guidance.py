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

_LEAST_MASS = 1e-6


@dataclass(frozen=True)
class Guidance:
    """Which layers read.

    Attributes:
        quiet_layers: Leading layers in which text should spend little attention on visual tokens.
        reading_layers: Layers in which the answering token should look at the evidence.
        ending_rows: Rows up to the answering one that know the whole question.
    """

    quiet_layers: int = 5
    reading_layers: tuple[int, ...] = (5, 6)
    ending_rows: int = 3

    def losses(self, masses: list[Tensor], batch: QuestionBatch) -> dict[str, Tensor]:
        """Return the losses.

        Args:
            masses: Per layer, attention of text rows to targets, axes (batch, heads, Q * slot, C).
            batch: The questions.
        """
        size, questions, slot = batch.token_ids.shape
        index = torch.arange(slot)
        rows = batch.answer_rows[..., None]
        is_text = index <= rows
        is_ending = is_text & (index > rows - self.ending_rows)
        has_evidence = batch.evidence.any(-1)
        life = [1 + one * len(WINDOWS) for one in range(MOST_OBJECTS)]
        wanted = _whole_life(batch.evidence).to(torch.float32)
        mass, early, seen = [], [], []
        for layer, targets in enumerate(masses):
            shown = targets.unflatten(2, (questions, slot))
            if layer < self.quiet_layers:
                total = shown[..., 0]
                mass.append(total.mean(1)[is_text].mean())
                objects = shown[..., life].sum(-1)
                # Of the little attention there is, the share on objects, and at the end on the right ones.
                share = ((objects + _LEAST_MASS) / (total + _LEAST_MASS)).log().mean(1)
                early.append(-share[is_text].mean())
                right = (shown * wanted[:, None, :, None]).sum(-1)
                share = ((right + _LEAST_MASS) / (total + _LEAST_MASS)).clamp(max=1).log().mean(1)
                early.append(-share[is_ending & has_evidence[..., None]].mean())
            elif layer in self.reading_layers:
                at_answer = shown.mean(1).gather(
                    2, rows[..., None].expand(size, questions, 1, shown.shape[-1])
                )[:, :, 0]
                found = (at_answer * batch.evidence).sum(-1)
                seen.append(-(found + 1e-3).log()[has_evidence].mean())
        return {
            "early mass": torch.stack(mass).mean(),
            "early share": torch.stack(early).mean(),
            "evidence": torch.stack(seen).mean(),
        }


def _whole_life(evidence: Tensor) -> Tensor:
    """Return the evidence with every window widened to all frames of its object."""
    objects = evidence[..., 1:].unflatten(-1, (MOST_OBJECTS, len(WINDOWS))).any(-1)
    widened = torch.zeros_like(evidence)
    widened[..., 1 :: len(WINDOWS)] = objects
    return widened
