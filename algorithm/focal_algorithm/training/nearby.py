"""A head start for small towers: at first, each head of the first layers looks at one neighbour of a patch.

With stock initialisation a tower of this size spends most of its training on finding out which patches touch, and
tells a wide shape from a tall one late or never. Trained weights replace all of this; the architecture is stock.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

__all__ = ["look_nearby"]

_CONTENT_SCALE = 0.5
"""Content starts weaker than position. Tried."""
_SHARPNESS = 1.8
"""Gain of queries and keys: most attention of a head falls on its neighbour. Tried."""
_NOISE = 0.02
"""Deviation of all other query and key weights, as CLIP starts them."""
_NEIGHBOURS = ((0, -1), (0, 1), (-1, 0), (1, 0))
"""(rows, columns) to the patch a head looks at, in patches; heads take turns."""


@torch.no_grad()
def look_nearby(tower: Any, has_class_token: bool) -> None:
    """Start positions as sinusoids, and queries as keys of a neighbour (Vaswani et al. 2017, sec. 3.5).

    A shift by one patch rotates every pair of sine and cosine, so a linear query can ask for it.

    Args:
        tower: SigLIP or CLIP tower.
        has_class_token: Whether position 0 belongs to the class token.
    """
    tower.embeddings.patch_embedding.weight.mul_(_CONTENT_SCALE)
    table = tower.embeddings.position_embedding.weight
    first = int(has_class_token)
    side = math.isqrt(len(table) - first)
    rates = _rates(side, table.shape[1] // 4)
    table[first:] = _sinusoids(side, rates)
    for layer, reach in zip(tower.encoder.layers[:2], (1, 2), strict=True):
        attention = layer.self_attn
        for projection in (attention.q_proj, attention.k_proj):
            torch.nn.init.normal_(projection.weight, std=_NOISE)
        _aim(attention, rates, reach)


def _rates(side: int, count: int) -> Tensor:
    """Return radians per patch: periods from 4 patches to four times the side."""
    return 2 * math.pi / torch.logspace(math.log10(4.0), math.log10(4.0 * side), count)


def _sinusoids(side: int, rates: Tensor) -> Tensor:
    """Return axes (side * side, 4 * rates): sines and cosines of the row, then of the column."""
    angles = torch.arange(side)[:, None] * rates
    along = torch.cat([angles.sin(), angles.cos()], 1)
    rows = along[:, None, :].expand(side, side, -1)
    columns = along[None, :, :].expand(side, side, -1)
    return torch.cat([rows, columns], 2).reshape(side * side, -1)


def _aim(attention: Any, rates: Tensor, reach: int) -> None:
    """Add to each head queries that equal the keys of the patch ``reach`` steps away in its direction."""
    query, key = attention.q_proj.weight, attention.k_proj.weight
    heads = attention.num_heads
    pairs = query.shape[0] // heads // 4
    count = len(rates)
    chosen = torch.linspace(0, count - 1, pairs).round().long().tolist()
    for head in range(heads):
        steps = _NEIGHBOURS[head % len(_NEIGHBOURS)]
        row = head * (query.shape[0] // heads)
        for axis in (0, 1):
            for rate in chosen:
                sine, cosine = axis * 2 * count + rate, (axis * 2 + 1) * count + rate
                turn = float(rates[rate]) * steps[axis] * reach
                key[row, sine] += _SHARPNESS
                key[row + 1, cosine] += _SHARPNESS
                query[row, sine] += _SHARPNESS * math.cos(turn)
                query[row, cosine] += _SHARPNESS * math.sin(turn)
                query[row + 1, cosine] += _SHARPNESS * math.cos(turn)
                query[row + 1, sine] -= _SHARPNESS * math.sin(turn)
                row += 2
