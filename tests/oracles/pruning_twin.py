"""FastV and DivPrune as plain loops over tokens, written from their descriptions. Slow on purpose."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]


def ranked(scores: list[float]) -> list[int]:
    """Return indices by descending score; equal scores in order."""
    return sorted(range(len(scores)), key=lambda index: (-scores[index], index))


# --- DivPrune ---------------------------------------------------------------------------------------------


def distance(one: Array, two: Array) -> float:
    """Return 1 - cosine, 0 below 1e-6; an all-zero vector is like nothing, not even itself."""
    norms = math.sqrt(sum(x * x for x in one)) * math.sqrt(sum(x * x for x in two))
    apart = 1.0 if norms == 0 else 1.0 - sum(x * y for x, y in zip(one, two, strict=True)) / norms
    return 0.0 if apart < 1e-6 else apart


def divprune(embeddings: Array, count: int) -> list[int]:
    """Return the strict order of choice: each token once, by the largest smallest distance to those chosen."""
    tokens = range(len(embeddings))
    apart = [[distance(embeddings[one], embeddings[two]) for two in tokens] for one in tokens]
    lonely = [min(apart[one][two] for two in tokens if two != one) for one in tokens]
    chosen = [ranked(lonely)[0]]
    while len(chosen) < count:
        gains = [-math.inf if one in chosen else min(apart[one][two] for two in chosen) for one in tokens]
        chosen.append(ranked(gains)[0])
    return chosen


# --- FastV ------------------------------------------------------------------------------------------------


def fastv_scores(decoder: Any, embeddings: Tensor, layer: int, start: int, visual: int) -> list[float]:
    """Return the mean attention of the last token to each visual one, in the layer before ``layer``.

    Args:
        decoder: A stock decoder with eager attention.
        embeddings: Axes (tokens, hidden).
        layer: K.
        start: First visual token.
        visual: Visual tokens.
    """
    with torch.inference_mode():
        output = decoder(inputs_embeds=embeddings[None], output_attentions=True, use_cache=False)
    heads = output.attentions[layer - 1][0]
    return [sum(float(head[-1, start + place]) for head in heads) / len(heads) for place in range(visual)]


def without_tokens(decoder: Any, embeddings: Tensor, layer: int, kept: list[int]) -> Tensor:
    """Return the last hidden states where layers from ``layer`` on see some rows only, at their own positions."""
    with torch.inference_mode():
        output = decoder(inputs_embeds=embeddings[None], output_hidden_states=True, use_cache=False)
        hidden = output.hidden_states[layer][:, kept]
        positions = torch.tensor(kept)[None]
        tables = decoder.rotary_emb(hidden, position_ids=positions)
        count = len(kept)
        mask = torch.full((count, count), torch.finfo(hidden.dtype).min).triu(1)[None, None]
        for one in decoder.layers[layer:]:
            hidden = one(hidden, attention_mask=mask, position_embeddings=tables, position_ids=positions)
        return decoder.norm(hidden)[0]


def with_masked_keys(decoder: Any, embeddings: Tensor, layer: int, dropped: list[int]) -> Tensor:
    """Return the last hidden states where nothing is removed and layers from ``layer`` on do not see some keys."""
    with torch.inference_mode():
        output = decoder(inputs_embeds=embeddings[None], output_hidden_states=True, use_cache=False)
        hidden = output.hidden_states[layer]
        tokens = hidden.shape[1]
        positions = torch.arange(tokens)[None]
        tables = decoder.rotary_emb(hidden, position_ids=positions)
        lowest = torch.finfo(hidden.dtype).min
        mask = torch.full((tokens, tokens), lowest).triu(1)
        mask[:, dropped] = lowest
        for one in decoder.layers[layer:]:
            hidden = one(
                hidden, attention_mask=mask[None, None], position_embeddings=tables, position_ids=positions
            )
        return decoder.norm(hidden)[0]
