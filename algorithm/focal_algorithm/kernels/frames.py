"""Likeness of tokens between the frames of a video, and clusters by density peaks within a set of tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from focal_algorithm.kernels.ordering import first_argmax, top_indices
from focal_algorithm.kernels.vectors import row_blocks


def paired_cosine(one: Tensor, two: Tensor, *, is_strict: bool = False, epsilon: float = 1e-8) -> Tensor:
    """Return the cosine of each row of ``one`` with the same row of ``two``; a zero row resembles nothing.

    Norm, quotient and every product are rounded to the dtype of the operands, and the products are summed in float32
    and rounded once.

    Args:
        one: Axes (..., width).
        two: Same axes.
        is_strict: Whether to compute in float32 instead, where rows of one direction give exactly 1.
        epsilon: Least norm that is divided by.

    Returns:
        Axes (...), dtype of the operands, or float32 if strict.
    """
    axes, width = one.shape[:-1], one.shape[-1]
    one, two = one.reshape(-1, width), two.reshape(-1, width)
    dtype = torch.float32 if is_strict else one.dtype
    found = torch.empty(len(one), dtype=dtype, device=one.device)
    for start, stop in row_blocks(len(one), width, one.device):
        products = _unit(one[start:stop].to(dtype), epsilon) * _unit(two[start:stop].to(dtype), epsilon)
        found[start:stop] = products.sum(dim=-1, dtype=torch.float32).to(dtype)
    found = found.reshape(axes)
    return found.masked_fill((1 - found).abs() < _NOISE, 1.0) if is_strict else found


_NOISE = 1e-6
"""Cosines of rows of one direction are off by up to 2e-7 in float32; that must not order them."""


def _unit(values: Tensor, epsilon: float) -> Tensor:
    norms = values.norm(dim=-1, keepdim=True)
    # Half precision rounds epsilon to 0.
    return torch.where(norms == 0, torch.zeros_like(values), values / norms.clamp(min=epsilon))


def density_peaks(values: Tensor, count: int, neighbours: int) -> Tensor:
    """Return the tokens that are dense and far from denser ones, the best first, axes (count), int64.

    With D the Euclidean distance over the root of the width, density is exp(-mean of the smallest D^2, the token's own
    0 among them); a token's score is its density times the distance to the nearest denser token, the largest distance
    of all where there is none. Equal scores go to the lower index. No noise is added, as published code does.

    Args:
        values: Tokens, axes (tokens, width).
        count: How many to choose, at most all.
        neighbours: How many of the smallest distances count, from 1 to all.
    """
    if not count:
        return torch.zeros(0, dtype=torch.int64, device=values.device)
    tokens = len(values)
    densities, largest = [], values.new_zeros((), dtype=torch.float32)

    def distances(start: int, stop: int) -> Tensor:
        return _distances(values[start:stop], values)

    for start, stop in row_blocks(tokens, tokens, values.device):
        block = distances(start, stop)
        densities.append((-(block**2).topk(neighbours, dim=1, largest=False).values.mean(dim=1)).exp())
        largest = torch.maximum(largest, block.amax())
    density = torch.cat(densities)
    nearest = []
    for start, stop in row_blocks(tokens, tokens, values.device):
        is_denser = density[None, :] > density[start:stop, None]
        block = torch.where(is_denser, distances(start, stop), torch.inf).amin(dim=1)
        nearest.append(torch.where(is_denser.any(dim=1), block, largest))
    return top_indices(torch.cat(nearest) * density, count)


def _distances(one: Tensor, two: Tensor) -> Tensor:
    """Return Euclidean distances over the root of the width, axes (rows of one, rows of two), float32.

    By products in float64, whose cancellation is far below what float32 can hold; equal rows are exactly 0 apart.
    """
    one, two = one.to(torch.float64), two.to(torch.float64)
    norms = one.square().sum(dim=1)[:, None] + two.square().sum(dim=1)
    squares = norms - 2 * (one @ two.T)
    squares = squares.masked_fill(squares < _EQUAL * norms, 0.0)
    return (squares / one.shape[-1]).sqrt().to(torch.float32)


_EQUAL = 1e-12
"""Squared distance, over squared norms, below which rows are equal: products of float64 are off by 1e-15."""


def most_alike(values: Tensor, centres: Tensor, *, is_strict: bool = False) -> Tensor:
    """Return for each token the centre of largest cosine, the first of equals, axes (tokens), int64.

    Cosines are computed in the dtype of the operands, a block of tokens at a time. Without ``is_strict`` norms have no
    lower bound, and a cosine that is not a number counts as the largest: an all-zero token joins the first centre, an
    all-zero centre draws all tokens, as published code does. Strictly, their cosines are 0.

    Args:
        values: Axes (tokens, width).
        centres: Axes (centres, width), at least one.
        is_strict: See above; computes in float32.
    """
    if is_strict:
        values, centres = values.to(torch.float32), centres.to(torch.float32)
    units = centres / centres.norm(dim=-1, keepdim=True)
    found = []
    for start, stop in row_blocks(len(values), max(len(centres), values.shape[-1]), values.device):
        block = values[start:stop]
        cosine = (block / block.norm(dim=-1, keepdim=True)) @ units.T
        found.append(first_argmax(cosine.nan_to_num(nan=0.0 if is_strict else torch.inf)))
    return torch.cat(found)


def nearest_centre(values: Tensor, centres: Tensor) -> Tensor:
    """Return for each token the centre at the smallest distance, the first of equals, axes (tokens), int64."""
    found = [
        first_argmax(-_distances(values[start:stop], centres))
        for start, stop in row_blocks(len(values), max(len(centres), values.shape[-1]), values.device)
    ]
    return torch.cat(found) if found else torch.zeros(0, dtype=torch.int64, device=values.device)


@dataclass(frozen=True)
class MergedVideo:
    """What is left of a video; tokens are counted frame by frame.

    Attributes:
        places: Tokens whose places are taken, in the order in which they follow each other, axes (kept), int64.
        values: What stands there, axes (kept, width).
        merged_into: For each token of the video the one that stands for it, -1 for none, axes (frames x tokens),
            int64.
        made_of: Of how many tokens the one at a place is made, -1 where it is the place's own, same axes.
    """

    places: Tensor
    values: Tensor
    merged_into: Tensor
    made_of: Tensor


def group_means(values: Tensor, group: Tensor, groups: int) -> Tensor:
    """Return the mean of the tokens of each group, 0 for an empty one, axes (groups, width), dtype of the tokens.

    Summed in float32 and in order of the tokens, so that it repeats on every device.

    Args:
        values: Axes (tokens, width).
        group: Of each token, axes (tokens), int64.
        groups: How many there are.
    """
    order, sizes = group.sort(stable=True).indices, torch.bincount(group, minlength=groups)
    total = torch.segment_reduce(values[order].to(torch.float32), "sum", lengths=sizes, axis=0, initial=0)
    return (total / sizes.clamp(min=1)[:, None]).to(values.dtype)
