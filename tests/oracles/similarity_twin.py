"""Similarity concentration as plain loops over tokens, vectors and candidates, written from the description.

Slow on purpose: it scatters the retained rows to all visual tokens and looks at one vector at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from focal_traces import TokenGrid

Array = NDArray[Any]


@dataclass
class Twin:
    """Result over all visual tokens; margin is how far the closest decision was from the other way."""

    is_zero: Array
    is_similar: Array
    winner: Array
    root: Array
    values: Array
    tile: Array
    margin: float = field(default=float("inf"))


def tiles(is_zero_token: Array, m_tile: int) -> Array:
    """Fill tiles one live token at a time; a zero token stays in the tile that is open."""
    result = np.zeros(len(is_zero_token), dtype=int)
    tile = live = 0
    for token, is_zero in enumerate(is_zero_token):
        if not is_zero:
            if m_tile > 0 and live == m_tile:
                tile, live = tile + 1, 0
            live += 1
        result[token] = tile
    return result


def coordinates(token: int, grid: TokenGrid) -> tuple[int, int, int] | None:
    """Return (frame, row, column) by searching the grid; None off the grid."""
    for frame in range(grid.frames):
        for row in range(grid.rows):
            for column in range(grid.columns):
                place = frame * grid.frame_stride + row * grid.row_stride + column * grid.column_stride
                if place == token:
                    return frame, row, column
    return None


def twin(
    x: Tensor,
    positions: Tensor,
    *,
    grid: TokenGrid,
    visual_tokens: int,
    vector_size: int,
    m_tile: int,
    block: tuple[int, int, int],
    threshold: float,
    is_strict: bool = False,
) -> Twin:
    """Do the same as `concentrate`, at full length."""
    width = x.shape[1]
    size = width if width <= vector_size else vector_size
    slices = -(-width // size)
    full = np.zeros((visual_tokens, slices * size), dtype=np.float32)
    full[positions.numpy(), :width] = x.to(torch.float32).numpy()
    vectors = full.reshape(visual_tokens, slices, size)
    is_zero = ~vectors.any(-1)
    tile = tiles(is_zero.all(1), m_tile)
    norm = np.sqrt((vectors * vectors).sum(-1, dtype=np.float32))
    key_norm = norm if is_strict else torch.from_numpy(norm).to(x.dtype).to(torch.float32).numpy()
    steps = [
        (f, i, k)
        for f in range(min(block[0], grid.frames))
        for i in range(min(block[1], grid.rows))
        for k in range(min(block[2], grid.columns))
    ]
    result = Twin(
        is_zero,
        np.zeros_like(is_zero),
        np.full(is_zero.shape, 255),
        np.tile(np.arange(visual_tokens)[:, None], slices),
        vectors.copy(),
        tile,
    )
    limit = np.float32(threshold)
    for token in range(visual_tokens):
        for slot in range(slices):
            found: list[tuple[float, int, int]] = []
            for q, step in enumerate(steps):
                f, i, k = step
                other = token - (f * grid.frame_stride + i * grid.row_stride + k * grid.column_stride)
                if q == 0 or other < 0 or tile[other] != tile[token]:
                    continue
                if is_strict:
                    here = coordinates(token, grid)
                    if here is None or any(at < back for at, back in zip(here, step, strict=True)):
                        continue
                scale = np.float32(key_norm[token, slot] * norm[other, slot])
                dot = (vectors[token, slot] * vectors[other, slot]).sum(dtype=np.float32)
                found.append((float(np.float32(dot / scale)) if scale else 0.0, q, other))
            _decide(result, token, slot, found, float(limit))
    rounds = visual_tokens if is_strict else grid.frames
    for _ in range(rounds):
        result.root = np.take_along_axis(result.root, result.root, 0)
    for slot in range(slices):
        for root in np.unique(result.root[:, slot]):
            members = np.flatnonzero(result.root[:, slot] == root)
            mean = vectors[members, slot].sum(0, dtype=np.float32) / np.float32(len(members))
            result.values[members, slot] = torch.from_numpy(mean).to(x.dtype).to(torch.float32).numpy()
    result.values = result.values.reshape(visual_tokens, -1)[:, :width]
    return result


def _decide(result: Twin, token: int, slot: int, found: list[tuple[float, int, int]], limit: float) -> None:
    best, winner, target = 0.0, 0, token
    for similarity, q, other in found:
        if similarity > best:
            best, winner, target = similarity, q, other
    rest = [abs(best - similarity) for similarity, _, _ in found if similarity != best]
    result.margin = min([result.margin, abs(best - limit), *(rest if best > limit else [])])
    if best > limit:
        result.is_similar[token, slot] = True
        result.winner[token, slot] = winner
        result.root[token, slot] = target
