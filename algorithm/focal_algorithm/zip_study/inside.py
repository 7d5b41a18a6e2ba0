"""Selection inside the decoder, by the question or by the vision tower: the two inner cells of the 2 x 2 design.

As SparseVLM (ICML 2025, arXiv:2410.04417, sec. 3.2 and 3.3) without recycling; rows of a batch are pruned
together because every row keeps equally many tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from focal_algorithm.zip_study.forward import Prompts

__all__ = ["InsideBatch", "logits_pruned_inside"]


@dataclass(frozen=True)
class InsideBatch:
    """Questions with all visual tokens of their pictures.

    Attributes:
        visual: Axes (questions, tokens, hidden).
        texts: The questions.
        scores: What ranks the tokens at every pruning layer, axes (questions, tokens); None lets the text tokens
            rate them by their attention.
        keeps_positions: Whether tokens keep their positions after a cut; otherwise they are renumbered.
    """

    visual: Tensor
    texts: Sequence[str]
    scores: Tensor | None = None
    keeps_positions: bool = False


@torch.no_grad()
def logits_pruned_inside(
    model: Any, prompts: Prompts, batch: InsideBatch, kept_at: Mapping[int, int]
) -> Tensor:
    """Answer questions while visual tokens are dropped after some layers.

    Args:
        model: The model.
        prompts: Token ids.
        batch: The questions.
        kept_at: Visual tokens kept after each pruning layer.

    Returns:
        Logits of the first answer token, axes (questions, vocabulary).
    """
    decoder = model.get_decoder()
    ids, last = prompts.padded(batch.texts)
    rows, count = len(batch.texts), batch.visual.shape[1]
    start = len(prompts.opening)
    text = decoder.embed_tokens(ids)
    opening = decoder.embed_tokens(prompts.opening)[None].expand(rows, -1, -1)
    is_text = torch.arange(ids.shape[1])[None] <= last[:, None]
    raters = _raters(batch.visual, text, is_text) if batch.scores is None else None
    scores = batch.scores
    hidden = torch.cat((opening, batch.visual, text), 1)
    positions = torch.arange(hidden.shape[1]).expand(rows, -1)
    angles = decoder.rotary_emb(hidden, positions)
    for index, layer in enumerate(decoder.layers):
        relevance = scores
        if index in kept_at and raters is not None:
            relevance = _relevance(layer, hidden, angles, raters, slice(start, start + count))
        hidden = layer(hidden, attention_mask=None, position_embeddings=angles)
        if index in kept_at and relevance is not None:
            order = relevance.sort(dim=1, descending=True, stable=True).indices
            chosen = order[:, : kept_at[index]].sort(dim=1).values
            scores = None if scores is None else scores.gather(1, chosen)
            hidden = _cut(hidden, chosen, start, count)
            positions = _cut(positions[..., None], chosen, start, count)[..., 0]
            if not batch.keeps_positions:
                positions = torch.arange(hidden.shape[1]).expand(rows, -1)
            count = chosen.shape[1]
            angles = decoder.rotary_emb(hidden, positions)
    at_answer = hidden[torch.arange(rows), start + count + last]
    logits: Tensor = model.lm_head(decoder.norm(at_answer))
    return logits


def _cut(values: Tensor, chosen: Tensor, start: int, count: int) -> Tensor:
    """Return ``values``, axes (rows, tokens, width), with only the chosen visual tokens."""
    middle = values[torch.arange(len(values))[:, None], start + chosen]
    return torch.cat((values[:, :start], middle, values[:, start + count :]), 1)


def _raters(visual: Tensor, text: Tensor, is_text: Tensor) -> Tensor:
    """Return which text tokens rate, axes (rows, text), bool; see `kernels.sparsevlm.raters`."""
    likeness = (visual @ text.transpose(1, 2)).masked_fill(~is_text[:, None], -torch.inf)
    scores = likeness.softmax(-1).mean(1)
    mean = scores.sum(1, keepdim=True) / is_text.sum(1, keepdim=True)
    return (scores > mean) & is_text


def _relevance(layer: Any, hidden: Tensor, angles: Any, raters: Tensor, visual: slice) -> Tensor:
    """Return the mean attention of raters and heads to each visual token, axes (rows, visual)."""
    attention = layer.self_attn
    rows, tokens, _ = hidden.shape
    text = slice(visual.stop, tokens)
    normed = layer.input_layernorm(hidden)
    cos, sin = (table[:, None] for table in angles)

    def heads(values: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        split = values.view(rows, values.shape[1], -1, attention.head_dim).transpose(1, 2)
        first, second = split.chunk(2, -1)
        return split * cos + torch.cat((-second, first), -1) * sin

    query = heads(attention.q_proj(normed[:, text]), cos[:, :, text], sin[:, :, text])
    key = heads(attention.k_proj(normed), cos, sin).repeat_interleave(attention.num_key_value_groups, 1)
    scores = (query @ key.transpose(2, 3)) * attention.scaling
    index = torch.arange(tokens)
    is_later = index[None, :] > index[text][:, None]
    probabilities = scores.masked_fill(is_later, -torch.inf).softmax(-1)[..., visual].mean(1)
    weights = raters.to(probabilities.dtype)
    return (probabilities * weights[..., None]).sum(1) / weights.sum(1, keepdim=True)
