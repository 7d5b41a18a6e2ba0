"""Choosing by value with ties that always fall the same way: the lowest index wins."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["first_argmax", "first_argmin", "one_hot_rows", "top_indices"]


def first_argmax(values: Tensor) -> Tensor:
    """Return the first index of the largest entry along the last axis, int64.

    `torch.argmax` may return any of several equal maxima, and does so differently on different devices.
    """
    width = values.shape[-1]
    index = torch.arange(width, device=values.device)
    is_best = values == values.amax(dim=-1, keepdim=True)
    return torch.where(is_best, index, width).amin(dim=-1).clamp(max=width - 1)


def first_argmin(values: Tensor) -> Tensor:
    """Return the first index of the smallest entry along the last axis, int64."""
    return first_argmax(-values)


def top_indices(values: Tensor, count: int) -> Tensor:
    """Return the indices of the ``count`` largest entries of a vector, in descending order of value."""
    return values.sort(descending=True, stable=True).indices[:count]


def one_hot_rows(assignment: Tensor, rows: int) -> Tensor:
    """Return a float32 matrix, axes (rows, tokens), with 1 where a token is assigned to a row.

    Sums as products with this matrix repeat exactly, which scattered additions on a GPU do not.
    """
    return (assignment[None, :] == torch.arange(rows, device=assignment.device)[:, None]).to(torch.float32)
