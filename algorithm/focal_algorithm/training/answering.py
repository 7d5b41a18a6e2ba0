"""Answers of a model while visual tokens are dropped at one depth: the yardstick that needs no method.

A plain implementation on the model's own modules. Questions of a sample share the layers before the drop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from focal_algorithm.kernels.importance import importance_of_probabilities
from focal_algorithm.kernels.ordering import select_top, tokens_to_keep
from focal_algorithm.training.batches import QuestionBatch
from focal_algorithm.training.forward import Packing, Seen, packed_decoder, packed_positions


@dataclass(frozen=True)
class Drop:
    """Where visual tokens are dropped, and which.

    Attributes:
        layer: They are missing from this layer on; 0 drops before the decoder.
        kept: Part of the visual tokens that stays, in (0, 1].
        scores: What to rank by, axes (visual); None ranks by the attention that the question's tokens pay in the
            layer before, largest over heads and tokens (Focus, HPCA 2026, sec. V).
    """

    layer: int
    kept: float
    scores: Tensor | None = None


@torch.no_grad()
def answers(model: Any, seen: Seen, before: Tensor, batch: QuestionBatch, drop: Drop | None = None) -> Tensor:
    """Return the most likely next token of each question of one sample, axes (Q), int64.

    Args:
        model: Video or image model.
        seen: Visual tokens, batch of 1.
        before: Ids of the template before the visual tokens.
        batch: Questions, batch of 1.
        drop: What to leave out; nothing if None.
    """
    decoder = model.get_decoder()
    questions, slot = batch.token_ids.shape[1:]
    text = decoder.embed_tokens(batch.token_ids.flatten(1))
    opening = decoder.embed_tokens(before)[None]
    hidden = torch.cat([opening, seen.tokens, seen.newline, text], 1)
    visual = slice(len(before), len(before) + seen.tokens.shape[1])
    prefix = hidden.shape[1] - text.shape[1]
    packing = Packing(prefix, questions, slot)
    positions = packed_positions(packing, hidden.device)
    depth = len(decoder.layers) if drop is None else drop.layer
    angles = decoder.rotary_emb(hidden, positions)
    with packed_decoder(decoder):
        for index, layer in enumerate(decoder.layers[:depth]):
            packing.keeps_probabilities = drop is not None and drop.scores is None and index == depth - 1
            hidden = layer(hidden, attention_mask=None, position_embeddings=angles, packing=packing)
    if drop is not None:
        kept = _kept(drop, packing, batch, visual)
        hidden, positions = _unpacked(hidden, positions, kept, packing, visual)
        angles = decoder.rotary_emb(hidden, positions)
        for layer in decoder.layers[depth:]:
            hidden = layer(hidden, attention_mask=None, position_embeddings=angles)
        hidden = hidden[:, -slot:]
    else:
        hidden = hidden[0, prefix:].unflatten(0, (questions, slot))
    at_answer = hidden[torch.arange(questions), batch.answer_rows[0]]
    logits: Tensor = model.lm_head(decoder.norm(at_answer))
    return logits.argmax(-1)


def _kept(drop: Drop, packing: Packing, batch: QuestionBatch, visual: slice) -> Tensor:
    """Return the visual tokens that stay for each question, axes (Q, kept), increasing."""
    total = visual.stop - visual.start
    count = tokens_to_keep(total, drop.kept, total)
    if drop.scores is not None:
        return select_top(drop.scores, count)[None].expand(packing.questions, -1)
    assert packing.probabilities is not None  # noqa: S101 - kept by the last packed layer
    rows = packing.probabilities[0].unflatten(1, (packing.questions, packing.slot))
    chosen = []
    for question in range(packing.questions):
        own = rows[:, question, : int(batch.answer_rows[0, question]) + 1]
        ranked = importance_of_probabilities(own, first_visual=visual.start, visual_count=total)
        chosen.append(select_top(ranked, count))
    return torch.stack(chosen)


def _unpacked(
    hidden: Tensor, positions: Tensor, kept: Tensor, packing: Packing, visual: slice
) -> tuple[Tensor, Tensor]:
    """Give every question a row of the batch with its own kept tokens; positions stay those of the prompt."""
    index = torch.arange(packing.prefix)
    rows = []
    for question in range(packing.questions):
        first = packing.prefix + question * packing.slot
        own = torch.arange(first, first + packing.slot)
        middle = index[visual][kept[question]]
        rows.append(torch.cat([index[: visual.start], middle, index[visual.stop :], own]))
    chosen = torch.stack(rows)
    return hidden[0][chosen], positions[0][chosen]
