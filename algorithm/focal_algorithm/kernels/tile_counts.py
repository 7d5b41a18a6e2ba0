"""Counts per m-tile of the masks of many GEMM inputs at once, without a result whose shape depends on values.

The same numbers as `focal_traces.counts.tiles.count_tiles`, which needs no torch: nothing here makes the CPU wait for a
device, so that masks are reduced where they lie.
"""

from __future__ import annotations

import torch
from torch import Tensor


def count_tiles(is_zero: Tensor, is_similar: Tensor | None, m_tile: int) -> tuple[Tensor, Tensor, Tensor]:
    """Count alive tokens, non-zero vectors and unique vectors per m-tile.

    Args:
        is_zero: Zero vectors, axes (inputs, visual tokens, slices), bool.
        is_similar: Vectors replaced by a representative, same axes, disjoint from ``is_zero``; None for none.
        m_tile: Tokens per tile; 0 for a single tile.

    Returns:
        Alive tokens, axes (inputs, most m-tiles), and vectors and unique vectors, axes (inputs, most m-tiles, slices),
        all int32. Most m-tiles are those of an input in which all tokens are alive; `tiles_in` says how many are meant.
    """
    tokens = is_zero.shape[1]
    is_vector = ~is_zero
    is_alive = is_vector.any(dim=2)
    flags = [is_vector] if is_similar is None else [is_vector, is_vector & ~is_similar]
    size = m_tile if 0 < m_tile < tokens else max(tokens, 1)
    tiles = max(1, -(-tokens // size))
    if tiles == 1:
        rows = is_alive.sum(dim=1, keepdim=True, dtype=torch.int32)
        sums = [one.sum(dim=1, keepdim=True, dtype=torch.int32) for one in flags]
    else:
        tile = (is_alive.cumsum(dim=1) - 1).clamp_min_(0) // size
        is_member = tile[:, None] == torch.arange(tiles, device=tile.device)[:, None]
        rows = (is_member & is_alive[:, None]).sum(dim=2, dtype=torch.int32)
        # Products of zeros and ones: sums in fp32 are exact below 2^24 tokens, in TF32 as well.
        member = is_member.to(torch.float32)
        sums = [(member @ one.to(torch.float32)).to(torch.int32) for one in flags]
    return rows, sums[0], sums[-1]


def tiles_in(alive_tokens: int, m_tile: int) -> int:
    """Return the m-tiles of a GEMM input with so many tokens alive; at least one."""
    return max(1, -(-alive_tokens // m_tile)) if m_tile > 0 else 1


def packed_bits(flags: Tensor) -> Tensor:
    """Return flags, eight to a byte, the first in the highest bit, as `numpy.packbits` has them.

    Args:
        flags: Any axes, bool.

    Returns:
        Axes (bytes), uint8; missing flags are 0.
    """
    flat = flags.flatten()
    octets = torch.nn.functional.pad(flat, (0, -len(flat) % 8)).view(-1, 8)
    weights = 1 << torch.arange(7, -1, -1, dtype=torch.uint8, device=flags.device)
    return (octets * weights).sum(dim=1, dtype=torch.uint8)
