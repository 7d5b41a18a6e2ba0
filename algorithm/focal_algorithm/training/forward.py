"""The forward of a training step: native modules, packed questions, and what the losses need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from focal_algorithm.training.batches import QuestionBatch
from focal_algorithm.training.tower_attention import watched_attention

PACKED_ATTENTION = "focal_packed"


@dataclass
class Packing:
    """How one batch is packed, and what its attention shows.

    Attributes:
        prefix: Tokens shared by all questions of a sample.
        questions: Q, slots after the prefix.
        slot: Tokens of a slot, padding at the end.
        columns: Indicators over the prefix, axes (batch, prefix, C): which tokens belong to which target.
        masses: Per layer, the attention that text rows pay to each target; axes (batch, heads, Q * slot, C).
        keeps_probabilities: Whether to remember the last layer's attention of text rows.
        probabilities: That attention, axes (batch, heads, Q * slot, prefix + Q * slot).
    """

    prefix: int
    questions: int
    slot: int
    columns: Tensor | None = None
    masses: list[Tensor] = field(default_factory=list)
    keeps_probabilities: bool = False
    probabilities: Tensor | None = None

    def text_mask(self, device: torch.device) -> Tensor:
        """Return what text rows may see, axes (Q * slot, prefix + Q * slot)."""
        index = torch.arange(self.questions * self.slot, device=device)
        is_same = index[:, None] // self.slot == index[None, :] // self.slot
        is_seen = torch.ones(len(index), self.prefix, dtype=torch.bool, device=device)
        return torch.cat([is_seen, is_same & (index[None, :] <= index[:, None])], 1)


def packed_positions(packing: Packing, device: torch.device) -> Tensor:
    """Return the position of every row, axes (1, prefix + Q * slot): each slot continues the prefix."""
    prefix = torch.arange(packing.prefix, device=device)
    slots = packing.prefix + torch.arange(packing.slot, device=device).repeat(packing.questions)
    return torch.cat([prefix, slots])[None]


@contextmanager
def packed_decoder(decoder: nn.Module) -> Iterator[None]:
    """Let a decoder use packed attention inside the block."""
    from transformers import AttentionInterface

    AttentionInterface.register(PACKED_ATTENTION, _packed_attention)
    config: Any = decoder.config
    before = config._attn_implementation
    config._attn_implementation = PACKED_ATTENTION
    try:
        yield
    finally:
        config._attn_implementation = before


def _packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    packing: Packing,
    **_: Any,
) -> tuple[Tensor, None]:
    repeats = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
    end = packing.prefix
    prefix = functional.scaled_dot_product_attention(
        query[:, :, :end], key[:, :, :end], value[:, :, :end], is_causal=True, scale=scaling
    )
    scores = (query[:, :, end:] * scaling) @ key.transpose(2, 3)
    scores = scores.masked_fill(~packing.text_mask(scores.device), torch.finfo(scores.dtype).min)
    probabilities = scores.softmax(-1).to(value.dtype)
    if packing.columns is not None:
        seen = probabilities[..., :end]
        packing.masses.append((seen @ packing.columns[:, None].to(seen.dtype)).float())
    if packing.keeps_probabilities:
        packing.probabilities = probabilities
    text = probabilities @ value
    return torch.cat([prefix, text], 2).transpose(1, 2).contiguous(), None


PROBED_LAYER = 3
"""Visual tokens have gathered motion after this many layers, before text reads them."""


@dataclass(frozen=True)
class Seen:
    """Output of tower and projector.

    Attributes:
        tokens: Axes (batch, visual, width), without the newline of a video.
        newline: Axes (batch, 0 or 1, width).
        summary: Axes (batch, frames, vectors, width): CLS where there is one, else the tokens.
        received: Attention each token draws in the tower's last layer, axes (batch, visual); of a frame it adds up
            to 1. None where a CLS token ranks the others.
    """

    tokens: Tensor
    newline: Tensor
    summary: Tensor
    received: Tensor | None


@dataclass(frozen=True)
class Packed:
    """Output of the decoder.

    Attributes:
        logits: Axes (batch, Q, slot, vocabulary).
        probed: Hidden states of the visual tokens after `PROBED_LAYER` layers, axes (batch, visual, width).
        named: Hidden states of the text after the layer in which words look at what they name, axes
            (batch, Q, slot, width).
        answering: Hidden states of the answering tokens one layer later, axes (batch, Q, width).
        packing: Holds the attention masses.
    """

    logits: Tensor
    probed: Tensor
    named: Tensor
    answering: Tensor
    packing: Packing


def see(model: Any, pixels: Tensor) -> Seen:
    """Run tower and projector; ``pixels`` has axes (batch, frames, channels, rows, columns)."""
    config, inner = model.config, model.model
    if config.model_type == "llava_onevision":
        with watched_attention(inner.vision_tower) as watched:
            features = inner.get_video_features(pixels, return_dict=True).pooler_output
        tokens, newline = features[:, :-1], features[:, -1:]
        pooled = inner.apply_pooling(watched.received()[..., None])
        received = (pooled / pooled.sum(1, keepdim=True)).reshape(len(pixels), -1)
        return Seen(tokens, newline, tokens.unflatten(1, (pixels.shape[1], -1)), received)
    output = inner.vision_tower(pixels[:, 0], output_hidden_states=True)
    chosen = output.hidden_states[config.vision_feature_layer]
    tokens = inner.multi_modal_projector(chosen[:, 1:])
    return Seen(tokens, tokens[:, :0], chosen[:, None, :1], None)


def packed_forward(
    model: Any, seen: Seen, before: Tensor, batch: QuestionBatch, naming_layer: int = -2
) -> Packed:
    """Run the decoder over prefix and packed questions.

    Args:
        model: Video or image model.
        seen: Visual tokens.
        before: Ids of the template before the visual tokens, axes (tokens).
        batch: Packed questions.
        naming_layer: Layer in which words look at what they name.
    """
    decoder = model.get_decoder()
    size, questions, slot = batch.token_ids.shape
    opening = decoder.embed_tokens(before)[None].expand(size, -1, -1)
    text = decoder.embed_tokens(batch.token_ids.flatten(1))
    embeddings = torch.cat([opening, seen.tokens, seen.newline, text], 1)
    visual = slice(len(before), len(before) + seen.tokens.shape[1])
    prefix = embeddings.shape[1] - text.shape[1]
    columns = batch.columns.new_zeros(size, prefix, batch.columns.shape[-1])
    columns[:, visual] = batch.columns
    packing = Packing(prefix, questions, slot, columns)
    kept: list[Tensor] = []
    text_rows = slice(prefix, None)
    handles = [
        decoder.layers[layer].register_forward_hook(partial(_keep, kept, rows))
        for layer, rows in (
            (PROBED_LAYER - 1, visual),
            (naming_layer, text_rows),
            (naming_layer + 1, text_rows),
        )
    ]
    try:
        with packed_decoder(decoder):
            hidden = decoder(
                inputs_embeds=embeddings,
                attention_mask={"full_attention": None},
                position_ids=packed_positions(packing, embeddings.device),
                use_cache=False,
                packing=packing,
            ).last_hidden_state
    finally:
        for handle in handles:
            handle.remove()
    logits = model.lm_head(hidden[:, prefix:]).unflatten(1, (questions, slot))
    named, later = (one.unflatten(1, (questions, slot)) for one in kept[1:])
    at_answer = batch.answer_rows[..., None, None].expand(-1, -1, 1, later.shape[-1])
    return Packed(logits, kept[0], named, later.gather(2, at_answer)[:, :, 0], packing)


def _keep(kept: list[Tensor], rows: slice, _module: Any, _inputs: Any, output: Any) -> None:
    kept.append((output[0] if isinstance(output, tuple) else output)[:, rows])
