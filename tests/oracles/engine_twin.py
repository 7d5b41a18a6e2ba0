"""PyramidDrop, DART, CDPruner and PruMerge as plain loops, written from their descriptions. Slow on purpose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oracles.pruning_twin import ranked

Array = NDArray[np.float64]


def cosine(one: Sequence[float], two: Sequence[float]) -> float:
    """Return the cosine; 0 where a vector is all zero."""
    norms = math.sqrt(sum(x * x for x in one)) * math.sqrt(sum(x * x for x in two))
    return sum(x * y for x, y in zip(one, two, strict=True)) / norms if norms else 0.0


# --- PyramidDrop ------------------------------------------------------------------------------------------


def pyramiddrop(
    decoder: Any, embeddings: Tensor, start: int, visual: int, counts: dict[int, int]
) -> tuple[Tensor, list[list[int]]]:
    """Run a stock decoder with eager attention layer by layer; return its last hidden states and all kept tokens.

    A stage runs the layer on the whole sequence first, reads the attention of the last token, and runs it again on
    the tokens that stay, at positions counted anew.
    """
    kept, stages = list(range(len(embeddings))), []
    hidden = embeddings[None]

    def layer_on(values: Tensor, number: int) -> tuple[Tensor, Tensor]:
        tokens = values.shape[1]
        positions = torch.arange(tokens)[None]
        mask = torch.full((tokens, tokens), torch.finfo(values.dtype).min).triu(1)[None, None]
        layer, seen = decoder.layers[number], []
        handle = layer.self_attn.register_forward_hook(lambda _m, _a, output: seen.append(output[1]))
        tables = decoder.rotary_emb(values, position_ids=positions)
        after = layer(values, attention_mask=mask, position_embeddings=tables, position_ids=positions)
        handle.remove()
        return after, seen[0][0]

    with torch.inference_mode():
        for number in range(len(decoder.layers)):
            if number in counts:
                _, heads = layer_on(hidden, number)
                rows = [row for row, token in enumerate(kept) if start <= token < start + visual]
                scores = [sum(float(head[-1, row]) for head in heads) for row in rows]
                chosen = {rows[place] for place in ranked(scores)[: counts[number]]}
                left = [row for row in range(len(kept)) if row in chosen or row not in rows]
                hidden, kept = hidden[:, left], [kept[row] for row in left]
                stages.append(kept)
            hidden, _ = layer_on(hidden, number)
        return decoder.norm(hidden)[0], stages


# --- DART -------------------------------------------------------------------------------------------------


def dart(
    values: Array,
    norms: Sequence[float],
    visual: Sequence[int],
    text: Sequence[int],
    of_image: int,
    of_text: int,
    each: int,
    exactly: int | None,
) -> set[int]:
    """Return the visual tokens that stay; in the order of a Python set of pivots, or listed and ``exactly`` so many."""
    image_pivots = [visual[place] for place in ranked([norms[row] for row in visual])[:of_image]]
    pivots = image_pivots + [text[place] for place in ranked([norms[row] for row in text])[:of_text]]
    chosen, left = list(image_pivots), [row for row in visual if row not in image_pivots]
    for pivot in pivots if exactly is not None else set(pivots):
        alike = [cosine(values[pivot], values[row]) for row in left]
        taken = [left[place] for place in ranked([-one for one in alike])[:each]]
        chosen += taken
        left = [row for row in left if row not in taken]
    if exactly is None:
        return set(chosen)
    nearest = [max(cosine(values[pivot], values[row]) for pivot in pivots) for row in left]
    chosen += [left[place] for place in ranked([-one for one in nearest])]
    return set(chosen[:exactly])


# --- CDPruner ---------------------------------------------------------------------------------------------


def cdpruner(features: Array, relevance: Sequence[float], count: int) -> list[int]:
    """Return the order in which tokens enlarge the determinant of the chosen block of the kernel most."""
    tokens = range(len(features))
    kernel = [
        [relevance[i] * cosine(features[i], features[j]) * relevance[j] for j in tokens] for i in tokens
    ]
    chosen: list[int] = []
    while len(chosen) < count:
        gains = []
        for token in tokens:
            block = [*chosen, token]
            volume = np.linalg.det(np.array([[kernel[i][j] for j in block] for i in block]))
            gains.append(-math.inf if token in chosen else float(volume))
        chosen.append(ranked(gains)[0])
    return chosen


def relevance_of(scores: Sequence[float]) -> list[float]:
    """Return scores between a little above 0 and 1."""
    return [(one - min(scores) + 1e-6) / (max(scores) - min(scores)) for one in scores]


# --- PruMerge ---------------------------------------------------------------------------------------------


def attention_of_cls(query: Sequence[float], keys: Array) -> list[float]:
    """Return the softmax of one head over the whole width, without the entry of CLS."""
    logits = [sum(x * y for x, y in zip(query, key, strict=True)) / math.sqrt(len(query)) for key in keys]
    parts = [math.exp(one - max(logits)) for one in logits]
    return [one / sum(parts) for one in parts][1:]


def quartile(values: Sequence[float], share: float) -> float:
    """Return a quantile, linear between neighbours."""
    ordered, place = sorted(values), share * (len(values) - 1)
    low = math.floor(place)
    high = min(low + 1, len(values) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def outliers(scores: Sequence[float]) -> int:
    """Return how many scores lie 1.5 ranges between the quartiles above the upper one."""
    low, high = quartile(scores, 0.25), quartile(scores, 0.75)
    return sum(one > high + 1.5 * (high - low) for one in scores)


def sampled(tokens: int, share: float, is_adaptive: bool) -> list[int]:
    """Return PruMerge+'s tokens at even distances, as published; the last token is never one."""
    step = int(1 / share)
    return list(
        range(0, tokens - 1, int(step / 3)) if is_adaptive else range(int(step / 2), tokens - 1, step)
    )


def prumerge(
    features: Array, keys: Array, scores: Sequence[float], chosen: list[int], neighbours: int
) -> Array:
    """Return each chosen token with what it gathers, then the token for the rest."""
    rest = [token for token in range(len(scores)) if token not in chosen]
    rest = rest[len(chosen) - len(set(chosen)) :]
    made = []
    for number, token in enumerate(chosen):
        others = [one for place, one in enumerate(chosen) if place != number] + rest
        alike = ranked([cosine(keys[token], keys[one]) for one in others])[:neighbours]
        made.append(features[token] + sum(scores[others[place]] * features[others[place]] for place in alike))
    made.append(sum((scores[token] * features[token] for token in rest), np.zeros(features.shape[1])))
    return np.array(made)
