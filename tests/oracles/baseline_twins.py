"""CMC, AdapTiV and FrameFusion as plain loops over single tokens, written from their descriptions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def cmc_twin(visual: Array, patches: int, threshold: float) -> tuple[Array, Array, float, Array]:
    """Return motion table, replaceable mask (axes: frames padded to 8s, patches), sparsity and result.

    The result is the visual tokens (axes: tokens, width) with their own motion applied.
    """
    tokens, width = visual.shape
    frames = tokens // patches
    intervals = -(-frames // 8)
    padded = np.zeros((intervals * 8 * patches, width), dtype=np.float32)
    padded[:tokens] = visual
    table = np.zeros((intervals * 8, patches), dtype=int)
    mask = np.zeros((intervals * 8, patches), dtype=bool)
    result = visual.copy()
    informative = 0
    for frame in range(intervals * 8):
        reference = frame // 8 * 8 + 3
        for patch in range(patches):
            token = padded[frame * patches + patch].astype(float)
            sums = [np.abs(token - padded[reference * patches + other]).sum() for other in range(patches)]
            table[frame, patch] = best = min(range(patches), key=lambda other: (sums[other], other))
            mask[frame, patch] = sums[best] < threshold * width
            if frame >= frames:
                continue
            if mask[frame, patch]:
                result[frame * patches + patch] = padded[reference * patches + best]
            is_counted = mask[frame, patch] and reference < frames
            # A reference frame is always transmitted.
            informative += (not is_counted) + (frame == reference)
    return table, mask, (tokens - informative) / tokens, result


def adaptiv_twin(
    visual: Array,
    grid: dict[str, int],
    threshold: float,
    rounded: Callable[[float], float] = lambda number: number,
) -> Array:
    """Return the token that stands for each token; scores and threshold go through ``rounded``."""
    tokens, width = visual.shape
    parent = list(range(tokens))
    for token in range(tokens):
        inside = token % grid["frame_stride"]
        row, column = inside // grid["row_stride"], inside % grid["row_stride"] // grid["column_stride"]
        if not row or not column or (grid["frames"] > 1 and token < grid["frame_stride"]):
            continue
        scores = []
        for distance in (grid["row_stride"], grid["column_stride"]):
            other = np.zeros(width) if token < distance else visual[token - distance]
            scores.append(rounded(sum(int(a) for a in np.sign(visual[token]) * np.sign(other))))
        if rounded(max(scores) / width) >= rounded(threshold):
            parent[token] = token - grid["column_stride" if scores[1] > scores[0] else "row_stride"]
    for token in range(tokens):
        parent[token] = parent[parent[token]]  # parents come before their children
    return np.array(parent)


def framefusion_merge_twin(
    visual: Array, types: Array, similarity: float, budget: float
) -> tuple[Array, Array, float]:
    """Return the token that stands for each token, the values, and the ratio of alike tokens."""
    count = len(visual)
    order = sorted(range(count), key=lambda token: (types[token], token))
    alike = {}
    for place in range(1, count):
        token, before = order[place], order[place - 1]
        if types[token] == types[before]:
            norms = np.linalg.norm(visual[token]) * np.linalg.norm(visual[before])
            alike[token] = float(visual[token] @ visual[before] / norms)
    merged = [token for token in order if alike.get(token, -2.0) >= similarity]
    ratio = len(merged) / count
    if ratio >= budget:
        merged = sorted(merged, key=lambda token: -alike[token])[: int(budget * count)]
    chosen = set(merged)
    groups: list[list[int]] = []
    for token in order:
        if token in chosen:
            groups[-1].append(token)
        else:
            groups.append([token])
    stands, values = np.arange(count), visual.copy()
    for group in groups:
        stands[group] = group[0]
        values[group[0]] = np.mean([visual[token] for token in group], axis=0)
    return stands, values, ratio


def framefusion_budget_twin(ratios: list[float], cost: float, layers: int) -> float:
    """Return the fraction to drop now so that, with no further change, the mean over layers is ``cost``."""
    present = [float(np.prod([1 - ratio for ratio in ratios[: index + 1]])) for index in range(len(ratios))]
    last = present[-1] if present else 1.0
    keep = (layers * cost - sum(present)) / (layers - len(ratios)) / last
    return max(0.0, 1 - keep)
