"""VisionZip, SparseZip and SparseVLM as plain loops over tokens, written from their descriptions. Slow on purpose."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def ranked(scores: Array) -> list[int]:
    """Return indices by descending score; equal scores in order."""
    return sorted(range(len(scores)), key=lambda index: (-scores[index], index))


def softmax(values: Array) -> Array:
    weights = np.exp(values - values.max())
    return weights / weights.sum()


def visionzip(
    features: Array, keys: Array, scores: Array, count: int, contextual: int
) -> tuple[list[int], Array]:
    """Return kept tokens in raster order, and the merged ones."""
    kept = sorted(ranked(scores)[:count])
    rest = [token for token in range(len(features)) if token not in kept]
    step = max(1, len(rest) // contextual)
    targets = [rest[place] for place in range(0, len(rest), step)][:contextual]
    groups: dict[int, list[int]] = {target: [] for target in targets}
    for token in rest:
        if token in groups:
            continue
        likeness = [
            keys[token] @ keys[target] / np.linalg.norm(keys[token]) / np.linalg.norm(keys[target])
            for target in targets
        ]
        groups[targets[int(np.argmax(likeness))]].append(token)
    merged = [
        features[target] + sum((features[t] for t in group), np.zeros_like(features[0])) / max(1, len(group))
        for target, group in groups.items()
    ]
    return kept, np.array(merged)


def entropy(probabilities: Array) -> float:
    return -sum(p * math.log(p) for p in probabilities if p > 1e-12)


def hybrid(
    attention: Array, keys: Array, alphas: tuple[float, float, float], tau_feat: float, tau_sim: float
) -> Array:
    """Return the standardised hybrid score of each token."""
    count, width = keys.shape
    terms = np.zeros((3, count))
    for token in range(count):
        terms[0, token] = np.mean([head[token] for head in attention])
        terms[1, token] = entropy(softmax(keys[token] / tau_feat)) / math.log(width)
        others = [other for other in range(count) if other != token]
        likeness = np.array(
            [
                keys[token] @ keys[other] / np.linalg.norm(keys[token]) / np.linalg.norm(keys[other])
                for other in others
            ]
        )
        terms[2, token] = 1 - entropy(softmax(likeness / tau_sim)) / math.log(count)
    standard = [(term - term.mean()) / term.std(ddof=1) for term in terms]
    return sum(alpha * term for alpha, term in zip(alphas, standard, strict=True))  # type: ignore[return-value]


def density_peaks(values: Array, clusters: int) -> Array:
    """Return the means around the density peaks; of equal densities the earlier one counts as denser."""
    count, width = values.shape
    distance = np.array([[np.linalg.norm(a - b) / math.sqrt(width) for b in values] for a in values])
    density = [math.exp(-np.mean(np.sort(row)[:clusters] ** 2)) for row in distance]
    separation = []
    for token in range(count):
        denser = [
            distance[token, other]
            for other in range(count)
            if density[other] > density[token] or (density[other] == density[token] and other < token)
        ]
        separation.append(min(denser) if denser else distance.max())
    centres = ranked(np.array([d * s for d, s in zip(density, separation, strict=True)]))[:clusters]
    groups: list[list[int]] = [[] for _ in centres]
    for token in range(count):
        nearest = centres.index(token) if token in centres else int(np.argmin(distance[token, centres]))
        groups[nearest].append(token)
    return np.array([values[group].sum(axis=0) / (len(group) + 1e-6) for group in groups])


# --- a whole decoder --------------------------------------------------------------------------------------


def rotated(values: Array, positions: list[int], base: float = 10000.0) -> Array:
    """Rotate pairs (i, i + half) of each token by position times frequency; axes (heads, tokens, head_dim)."""
    result = values.copy()
    half = values.shape[-1] // 2
    for token, position in enumerate(positions):
        for i in range(half):
            angle = position * base ** (-i / half)
            x, y = values[:, token, i], values[:, token, i + half]
            result[:, token, i] = x * math.cos(angle) - y * math.sin(angle)
            result[:, token, i + half] = y * math.cos(angle) + x * math.sin(angle)
    return result


def norm(values: Array) -> Array:
    return values / np.sqrt((values**2).mean(axis=-1, keepdims=True) + 1e-5)


def sparsevlm_2(
    embeddings: Array,
    weights: list[dict[str, Array]],
    span: tuple[int, int],
    pruning: dict[int, int],
    heads: int,
    heads_kept: int,
) -> dict[str, Any]:
    """Run the second version with whole attention matrices.

    Args:
        embeddings: Axes (tokens, width).
        weights: One mapping per layer: q, k, v, o, gate, up, down.
        span: First visual token and number of visual tokens.
        pruning: Tokens kept after a layer.
        heads: Of the attention.
        heads_kept: That score.

    Returns:
        ``hidden`` behind the last norm, ``kept`` token ids, ``lengths`` per layer.
    """
    start, count = span
    ids = list(range(len(embeddings)))
    text = embeddings[start + count :]
    rating = np.mean([softmax(text @ visual) for visual in embeddings[start : start + count]], axis=0)
    raters = [start + count + t for t in range(len(text)) if rating[t] > rating.mean()]
    hidden, lengths = embeddings, []
    for layer, weight in enumerate(weights):
        lengths.append(len(hidden))
        x, width = norm(hidden), hidden.shape[1] // heads
        q, k, v = (
            (x @ weight[name].T).reshape(len(x), heads, width).transpose(1, 0, 2) for name in ("q", "k", "v")
        )
        q, k = rotated(q, ids), rotated(k, ids)
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(width)
        attention = np.zeros_like(scores)
        for head in range(heads):
            for row in range(len(x)):
                attention[head, row, : row + 1] = softmax(scores[head, row, : row + 1])
        hidden = hidden + (attention @ v).transpose(1, 0, 2).reshape(len(x), -1) @ weight["o"].T
        x = norm(hidden)
        gate = x @ weight["gate"].T
        hidden = hidden + (gate / (1 + np.exp(-gate)) * (x @ weight["up"].T)) @ weight["down"].T
        if layer in pruning:
            ones = rotated(np.ones_like(q), ids)
            pull = ones @ ones.transpose(0, 2, 1) / math.sqrt(width)
            visual = [row for row, token in enumerate(ids) if start <= token < start + count]
            rows = [ids.index(rater) for rater in raters]
            block = (attention / pull)[:, rows][:, :, visual]
            best = ranked(block.sum(axis=(1, 2)))[:heads_kept]
            relevance = block[best].mean(axis=(0, 1))
            keep = set(ranked(relevance)[: min(pruning[layer], len(visual) - 1)])
            alive = [row for row in range(len(ids)) if row not in visual or visual.index(row) in keep]
            hidden, ids = hidden[alive], [ids[row] for row in alive]
    return {"hidden": norm(hidden), "kept": ids, "lengths": lengths}
