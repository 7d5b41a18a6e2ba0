"""Answers from visual tokens that are already chosen: many questions of many pictures in one forward.

The decoder's own modules are used. Tests hold the answers against the hooks that serve every other command.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from focal.studies.sparsezip.features import VisualRows

__all__ = ["Prompts", "logits_of_rows", "prepare"]


@dataclass(frozen=True)
class Prompts:
    """Token ids around the visual tokens.

    Attributes:
        opening: Before them, axes (tokens).
        texts: After them, per text, each axes (tokens).
    """

    opening: Tensor
    texts: dict[str, Tensor]


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
    return Prompts(ids(template[0]), after)


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
    before = torch.arange(len(opening))
    rows = [
        torch.cat((opening, own.tokens, decoder.embed_tokens(prompts.texts[text])))
        for own, text in zip(visual, texts, strict=True)
    ]
    last = torch.tensor([len(row) - 1 for row in rows])
    # Padding stands at the end, where a causal decoder cannot see it from an answer.
    hidden = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    positions = [
        torch.cat(
            (
                before,
                len(opening) + own.places,
                len(opening) + own.after + torch.arange(len(prompts.texts[text])),
            )
        )
        for own, text in zip(visual, texts, strict=True)
    ]
    angles = decoder.rotary_emb(hidden, torch.nn.utils.rnn.pad_sequence(positions, batch_first=True))
    for layer in decoder.layers:
        hidden = layer(hidden, attention_mask=None, position_embeddings=angles)
    logits: Tensor = model.lm_head(decoder.norm(hidden[torch.arange(len(rows)), last]))
    return logits
