"""Answers from visual tokens that are already chosen: many questions of many pictures in one forward.

The decoder's own modules are used. Tests hold the answers against the hooks that serve every other command.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from focal_algorithm.training.packing import Packing, packed_decoder
from focal_algorithm.zip_study.features import VisualRows

__all__ = ["Prompts", "logits_of_pictures", "logits_of_rows", "prepare"]


@dataclass(frozen=True)
class Prompts:
    """Token ids around the visual tokens.

    Attributes:
        opening: Before them, axes (tokens).
        texts: After them, per text, each axes (tokens).
        pad: Id of padding.
    """

    opening: Tensor
    texts: dict[str, Tensor]
    pad: int

    def padded(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return ids, axes (texts, slot), padded at the end, and the index of each last token, axes (texts)."""
        rows = [self.texts[text] for text in texts]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=self.pad)
        return ids, torch.tensor([len(row) - 1 for row in rows])


def prepare(tokenizer: Any, template: tuple[str, str], texts: Sequence[str]) -> Prompts:
    """Tokenise every text once.

    Args:
        tokenizer: Of the model.
        template: Text before and after the visual tokens, the latter with ``{question}``.
        texts: Questions.
    """

    def ids(text: str) -> Tensor:
        return torch.tensor(tokenizer.encode(text, add_special_tokens=False))

    after = {text: ids(template[1].format(question=text)) for text in texts}
    pad = tokenizer.pad_token_id
    return Prompts(ids(template[0]), after, 0 if pad is None else int(pad))


@torch.no_grad()
def logits_of_pictures(
    model: Any, prompts: Prompts, visual: Sequence[VisualRows], texts: Sequence[Sequence[str]]
) -> Tensor:
    """Answer questions that share the visual tokens of their picture.

    Args:
        model: The model.
        prompts: Token ids.
        visual: Of each picture, equally many tokens.
        texts: As many questions of each picture.

    Returns:
        Logits of the first answer token, axes (pictures, questions, vocabulary).
    """
    decoder = model.get_decoder()
    questions = len(texts[0])
    ids, last = prompts.padded([text for own in texts for text in own])
    slot = ids.shape[1]
    text = decoder.embed_tokens(ids).unflatten(0, (len(texts), questions)).flatten(1, 2)
    opening = decoder.embed_tokens(prompts.opening)[None].expand(len(texts), -1, -1)
    tokens = torch.stack([own.tokens for own in visual])
    hidden = torch.cat((opening, tokens, text), 1)
    packing = Packing(opening.shape[1] + tokens.shape[1], questions, slot)
    positions = torch.stack([_positions(prompts, own, slot, questions) for own in visual])
    angles = decoder.rotary_emb(hidden, positions)
    with packed_decoder(decoder):
        for layer in decoder.layers:
            hidden = layer(hidden, attention_mask=None, position_embeddings=angles, packing=packing)
    rows = hidden[:, packing.prefix :].reshape(-1, slot, hidden.shape[-1])
    at_answer = rows[torch.arange(len(rows)), last]
    logits: Tensor = model.lm_head(decoder.norm(at_answer))
    return logits.unflatten(0, (len(texts), questions))


@torch.no_grad()
def logits_of_rows(
    model: Any, prompts: Prompts, visual: Sequence[VisualRows], texts: Sequence[str]
) -> Tensor:
    """Answer questions that each have visual tokens of their own.

    Args:
        model: The model.
        prompts: Token ids.
        visual: One per question; numbers of tokens may differ.
        texts: The questions.

    Returns:
        Axes (questions, vocabulary).
    """
    decoder = model.get_decoder()
    opening = decoder.embed_tokens(prompts.opening)
    rows = [
        torch.cat((opening, own.tokens, decoder.embed_tokens(prompts.texts[text])))
        for own, text in zip(visual, texts, strict=True)
    ]
    last = torch.tensor([len(row) - 1 for row in rows])
    # Padding stands at the end, where a causal decoder cannot see it from an answer.
    hidden = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    positions = [
        _positions(prompts, own, len(prompts.texts[text])) for own, text in zip(visual, texts, strict=True)
    ]
    angles = decoder.rotary_emb(hidden, torch.nn.utils.rnn.pad_sequence(positions, batch_first=True))
    for layer in decoder.layers:
        hidden = layer(hidden, attention_mask=None, position_embeddings=angles)
    logits: Tensor = model.lm_head(decoder.norm(hidden[torch.arange(len(rows)), last]))
    return logits


def _positions(prompts: Prompts, own: VisualRows, slot: int, slots: int = 1) -> Tensor:
    """Return the position of every row of a prompt with some slots of text, axes (rows)."""
    start = len(prompts.opening)
    text = start + own.after + torch.arange(slot).repeat(slots)
    return torch.cat((torch.arange(start), start + own.places, text))
