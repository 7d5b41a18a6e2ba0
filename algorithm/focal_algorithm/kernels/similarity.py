"""Similarity concentration (SIC): vectors that resemble an earlier one are replaced by their group's mean.

Paper: Focus, HPCA 2026, sec. VI; details as in the published artifact. Works on the rows that are retained;
pruned tokens are zero rows there and need no work here. It does not record anything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from focal_algorithm.kernels.candidates import NO_WINNER, PartnerRows, candidates_of
from focal_algorithm.kernels.grouping import average_groups
from focal_algorithm.kernels.matching import match_vectors
from focal_algorithm.kernels.vectors import as_vectors, norms_and_zeros, tile_of_tokens
from focal_common.errors import ConfigError
from focal_traces import TokenGrid

__all__ = ["NO_WINNER", "Concentration", "check_threshold", "concentrate"]


@dataclass(frozen=True, slots=True)
class Concentration:
    """What similarity concentration did to one GEMM input; axes (rows, slices) unless said otherwise.

    Attributes:
        values: (rows, width), the dtype of the input: every vector is its group's mean.
        is_zero: bool, all components are zero.
        is_similar: bool, replaced by an earlier representative; disjoint from ``is_zero``.
        winner: uint8, place q of the candidate it matched; 255 where not similar.
        representative: int32, visual token index (0..S-1) of the group root; the token's own if alone.
        tile: (rows,) int32, m-tile.
        best_similarity: fp32, or None unless asked for.
    """

    values: Tensor
    is_zero: Tensor
    is_similar: Tensor
    winner: Tensor
    representative: Tensor
    tile: Tensor
    best_similarity: Tensor | None = None


def check_threshold(threshold: float, *, field: str = "similarity_threshold") -> float:
    """Return the threshold if it lies in (0, 1].

    Raises:
        ConfigError: Otherwise; below 0 a token would count as similar to nothing at all.
    """
    if not (math.isfinite(threshold) and 0 < threshold <= 1):
        raise ConfigError(f"{field} must be in (0, 1], got {threshold}")
    return threshold


def concentrate(
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
    heads: int = 1,
    name: str | None = "activations",
    keep_similarity: bool = False,
    partners: PartnerRows | None = None,
) -> Concentration:
    """Match, group and average the vectors of the retained visual tokens of one GEMM input.

    Compatible mode (default) reproduces the published artifact. Strict mode does what a reader of the paper
    would expect instead:

    * neighbours do not wrap around rows and frames, and tokens off the grid (frame markers) match nothing;
    * the norm of the later vector is exact in fp32, not rounded to the dtype of the activations;
    * chains are followed to their root however long, where the artifact does at most one doubling per frame.

    In both modes an earlier token's value depends on later tokens of its group: selection is causal, the
    mean is not.

    Complexity:
        Time O(F x B x B x rows x width). Memory beyond the input: the output, O(rows x slices), and blocks
        of a few MiB; twice the output where ``vector_size`` does not divide the width.

    Args:
        x: (rows, width) retained visual rows in order of position. For an attention input the heads lie side
            by side (head-major), so a vector longer than a head spans heads.
        positions: (rows,) int64, increasing, in [0, visual_tokens).
        grid: Layout of all visual tokens.
        visual_tokens: S, including pruned ones.
        vector_size: v, elements per vector.
        m_tile: Live tokens per m-tile; 0 or less means one tile.
        block: Search block (frames, rows, columns).
        threshold: Cosine that must be exceeded, in (0, 1]; compared in fp32.
        is_strict: See above.
        heads: Heads that make up the width; only checked to divide it.
        name: What to call ``x`` in an error; None where the caller looks for NaN.
        keep_similarity: Also return the best similarities.
        partners: Remembers where candidates lie from one call to the next, and that ``positions`` were checked; the
            result is the same without.

    Raises:
        RunError: ``x`` holds NaN.
        ConfigError: The block or ``vector_size`` cannot be used.
        ValueError: Shapes or positions contradict each other.
    """
    partners = partners or PartnerRows()
    _check_shapes(x, positions, heads, vector_size)
    if not partners.knows(positions):
        _check_positions(positions, visual_tokens)
    width = x.shape[1]
    vectors = as_vectors(x, vector_size)
    norms, is_zero = norms_and_zeros(vectors, name=name)
    tile = tile_of_tokens(is_zero.all(1), m_tile)
    candidates = candidates_of(grid, block)
    is_one_tile = m_tile <= 0 or len(x) <= m_tile
    found = partners.of(positions, None if is_one_tile else tile, candidates, grid, is_strict)
    matches = match_vectors(
        vectors, norms, found, candidates, threshold=threshold, is_norm_rounded=not is_strict
    )
    # Padding made a copy already, which nobody else holds.
    output = vectors.clone() if vectors.numel() == x.numel() else vectors
    roots = average_groups(output, matches.pointer, None if is_strict else grid.frames)
    return Concentration(
        values=output.flatten(1)[:, :width].contiguous(),
        is_zero=is_zero,
        is_similar=matches.winner != NO_WINNER,
        winner=matches.winner,
        representative=_token_of(positions, roots),
        tile=tile,
        best_similarity=matches.best if keep_similarity else None,
    )


def _check_shapes(x: Tensor, positions: Tensor, heads: int, vector_size: int) -> None:
    if vector_size < 1:
        raise ConfigError(f"vector_size must be at least 1, got {vector_size}")
    if x.ndim != 2 or positions.shape != x.shape[:1]:
        raise ValueError(f"x (rows, width) and positions (rows,) disagree: {x.shape}, {positions.shape}")
    if x.shape[1] % heads:
        raise ValueError(f"width {x.shape[1]} is not a multiple of heads ({heads})")


def _check_positions(positions: Tensor, visual_tokens: int) -> None:
    if len(positions) and not (
        int(positions[0]) >= 0
        and int(positions[-1]) < visual_tokens
        and bool((positions[1:] > positions[:-1]).all())
    ):
        raise ValueError(f"positions must increase within [0, {visual_tokens})")


def _token_of(positions: Tensor, roots: Tensor) -> Tensor:
    return positions.to(torch.int32).index_select(0, roots.view(-1)).view(roots.shape)
