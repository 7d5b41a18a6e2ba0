"""Cutting tokens into vectors, m-tiles and cache-sized blocks of rows (Focus, HPCA 2026, sec. VI)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from focal_common.errors import RunError

# Two fp32 blocks of this size fit the second-level caches of two current cores; best measured, 2^17 to 2^21.
_CPU_ELEMENTS = 1 << 19
# An accelerator wants few, large launches; 64 Mi fp32 elements are 256 MiB per temporary.
_DEVICE_ELEMENTS = 1 << 26


def row_blocks(rows: int, width: int, device: torch.device) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) pairs that cover ``rows`` rows of ``width`` elements in cache-sized blocks."""
    budget = _CPU_ELEMENTS if device.type == "cpu" else _DEVICE_ELEMENTS
    step = max(1, budget // max(1, width))
    for start in range(0, rows, step):
        yield start, min(start + step, rows)


def vector_count(width: int, vector_size: int) -> int:
    """Return V, vectors per token; the last one is zero-padded."""
    return -(-width // vector_size)


def as_vectors(x: Tensor, vector_size: int) -> Tensor:
    """Return rows cut into vectors, zero-padded to a whole number of vectors.

    A row no wider than ``vector_size`` is one vector of its own width. Without padding the result is a view
    of ``x`` if ``x`` is contiguous.

    Args:
        x: (rows, width).
        vector_size: Elements per vector.

    Returns:
        (rows, slices, vector elements), contiguous.
    """
    rows, width = x.shape
    if width <= vector_size:
        return x.contiguous().view(rows, 1, width)
    slices = vector_count(width, vector_size)
    padding = slices * vector_size - width
    padded = functional.pad(x, (0, padding)) if padding else x.contiguous()
    return padded.view(rows, slices, vector_size)


def zero_vectors(vectors: Tensor) -> Tensor:
    """Return which vectors have only zero components.

    Args:
        vectors: (..., vector elements).

    Returns:
        (...) bool.
    """
    return vectors.eq(0).all(-1)


def norms_and_zeros(vectors: Tensor, *, name: str | None) -> tuple[Tensor, Tensor]:
    """Return the Euclidean norm of every vector in fp32 and which vectors are exactly zero.

    Args:
        vectors: (rows, slices, vector elements), any floating dtype.
        name: What to call the tensor in an error; None where the caller looks for NaN.

    Returns:
        Norms (rows, slices) fp32, zeros (rows, slices) bool.

    Raises:
        RunError: A component is NaN.
    """
    rows, slices, elements = vectors.shape
    norms = torch.empty(rows, slices, dtype=torch.float32, device=vectors.device)
    for start, stop in row_blocks(rows, slices * elements, vectors.device):
        block = vectors[start:stop].to(torch.float32)
        torch.sum(block * block, -1, out=norms[start:stop])
    # The sum of squares is NaN exactly where a component is: squares of infinities are infinite.
    if name is not None and bool(norms.isnan().any()):
        row = int(norms.isnan().any(-1).nonzero()[0])
        raise RunError(f"{name}: row {row} holds NaN; similarity needs finite activations")
    norms.sqrt_()
    zeros = norms.eq(0)
    # Squares of components below 1e-23 vanish in fp32, so a zero norm alone does not prove a zero vector.
    if vectors.device.type != "cpu":  # a second pass is cheaper there than to wait for the places of suspects
        return norms, zero_vectors(vectors)
    suspects = zeros.nonzero(as_tuple=True)
    if len(suspects[0]):
        zeros[suspects] = zero_vectors(vectors[suspects])
    return norms, zeros


def tile_of_tokens(is_zero_token: Tensor, m_tile: int) -> Tensor:
    """Return the tile of each token: every tile holds ``m_tile`` tokens that are not zero.

    With c the number of non-zero tokens up to and including a token, its tile is floor(max(c - 1, 0) / m).
    Pruned tokens count as zero, so they may be left out. Zero tokens before the first live one join tile 0,
    others join the tile of the live token before them.

    Args:
        is_zero_token: (tokens,) bool, in order of position.
        m_tile: Live tokens per tile; 0 or less means one tile.

    Returns:
        (tokens,) int32.
    """
    if m_tile <= 0:
        return torch.zeros(len(is_zero_token), dtype=torch.int32, device=is_zero_token.device)
    live = (~is_zero_token).cumsum(0)
    return ((live - 1).clamp_min(0) // m_tile).to(torch.int32)
