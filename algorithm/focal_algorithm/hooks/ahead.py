"""Queries and keys of a layer that has not run yet, for methods that rank by them before they drop.

The layer's own norm and attention module are run up to the attention function, so that norms of heads, rotary
tables and roundings are those of the model. Nothing is attended to and no cache is touched.
"""

from __future__ import annotations

import threading

import torch
from torch import Tensor

from focal_algorithm.methods.base import AttentionOperands
from focal_algorithm.models.base import LayerPoints
from focal_common.errors import UnsupportedError

__all__ = ["is_looking_ahead", "operands_ahead", "show_ahead"]


class _Shown(Exception):
    def __init__(self, query: Tensor, key: Tensor, scaling: float) -> None:
        self.query, self.key, self.scaling = query, key, scaling


class _Thread(threading.local):
    is_looking = False


_NOW = _Thread()


def is_looking_ahead() -> bool:
    """Return whether this thread runs a layer's attention for its operands alone."""
    return _NOW.is_looking


def show_ahead(query: Tensor, key: Tensor, scaling: float) -> None:
    """End a look ahead with the operands of the attention; see `operands_ahead`."""
    raise _Shown(query, key, scaling)


def operands_ahead(
    point: LayerPoints, hidden: Tensor, rotary: tuple[Tensor, Tensor] | None, mask: Tensor | None = None
) -> AttentionOperands:
    """Return what the attention of a layer would be given.

    Args:
        point: The layer.
        hidden: Residual stream of one prompt before it, axes (tokens, hidden).
        rotary: Tables of these tokens as `AttentionOperands.rotary` has them.
        mask: Likewise.

    Raises:
        UnsupportedError: The decoder hands its layers no rotary tables.
    """
    if rotary is None:
        raise UnsupportedError(
            f"{type(point.layer).__name__}: its decoder hands it no rotary tables, so its queries and keys cannot be "
            "had before it runs"
        )
    _NOW.is_looking = True
    try:
        with torch.no_grad():
            point.attention(
                hidden_states=point.attention_norm(hidden[None]),
                position_embeddings=tuple(table[..., None, :, :] for table in rotary),
                attention_mask=None,
            )
    except _Shown as shown:
        return AttentionOperands(shown.query[0], shown.key[0], shown.scaling, rotary, mask)
    finally:
        _NOW.is_looking = False
    raise UnsupportedError(
        f"{type(point.attention).__name__}: it called no attention function, so its queries and keys cannot be had"
    )
