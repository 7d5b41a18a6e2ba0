"""The registered attention function: shows the operands to the session, then calls the stock function.

Registration is by name and process-wide, once per stock function; a model that does not ask for the name is
untouched.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from focal_algorithm.hooks.ahead import is_looking_ahead, show_ahead
from focal_algorithm.hooks.requirements import OBSERVED
from focal_algorithm.models.arithmetic import ATTENTIONS
from focal_algorithm.models.inference_only import refuse_gradients
from focal_common.errors import UnsupportedError

if TYPE_CHECKING:
    from focal_algorithm.hooks.operands import Operands

__all__ = ["SESSIONS", "naive_probabilities", "observed_attention"]

SESSIONS: WeakKeyDictionary[nn.Module, tuple[Operands, int]] = WeakKeyDictionary()
"""Attention module to what is attached to it and its layer; empty where nothing is attached."""

_PROBABILITIES_AT_ONCE = 1 << 20
"""Bounds the probabilities held at once: 4 MiB in fp32, which stay in a cache, or one head if that is more."""


def observed_attention(stock: str) -> str:
    """Register, if needed, the observed twin of a stock attention function and return its name.

    Args:
        stock: One of `ATTENTIONS`.

    Raises:
        UnsupportedError: Another function is in use.
    """
    if stock not in ATTENTIONS:
        raise UnsupportedError(
            f"attention implementation '{stock}' cannot be observed; load the model with attn_implementation "
            f"{', '.join(ATTENTIONS)}"
        )
    # transformers looks for kernels by any name with "flash" in it.
    name = OBSERVED + stock.replace("flash", "fused")
    if name not in ALL_ATTENTION_FUNCTIONS:
        AttentionInterface.register(name, _observing(stock))
        # Without a mask function of the same name, transformers passes no mask and padding would be seen.
        masks = AttentionMaskInterface()
        AttentionMaskInterface.register(name, masks["sdpa" if stock.startswith("flash") else stock])
    return name


def _stock_function(stock: str, module: nn.Module) -> Callable[..., tuple[Tensor, Any]]:
    # Eager attention is not in the table: each modelling file has its own, which its modules default to.
    if stock == "eager":
        return sys.modules[type(module).__module__].eager_attention_forward
    return ALL_ATTENTION_FUNCTIONS[stock]


def _observing(stock: str) -> Callable[..., tuple[Tensor, Any]]:
    def attention(
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        **settings: Any,
    ) -> tuple[Tensor, Any]:
        attached = SESSIONS.get(module)
        if attached is not None and is_looking_ahead():
            show_ahead(query, key, settings["scaling"])
        if attached is not None:
            operands, layer = attached
            scaling, tokens = settings["scaling"], query.shape[2]
            query = operands.on_query(layer, query, key, attention_mask, scaling)
            attention_mask = operands.on_keys(layer, query, key, attention_mask, scaling)
            if operands.replaces_probabilities(layer):
                mask = None if attention_mask is None else attention_mask[..., :tokens]
                shown = key[:, :, :tokens], value[:, :, :tokens]
                output = _replaced_attention(operands, layer, query, *shown, mask, scaling)
                return refuse_gradients(output, operands.method.name), None
        # Flash attention takes no mask; where one is needed, as for padded prompts that lost tokens, sdpa does.
        chosen = "sdpa" if stock.startswith("flash") and attention_mask is not None else stock
        return _stock_function(chosen, module)(module, query, key, value, attention_mask, **settings)

    return attention


def _replaced_attention(
    operands: Operands,
    layer: int,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scaling: float,
) -> Tensor:
    """Return the attention output, axes (batch, queries, heads, head_dim), a few heads at a time."""
    heads, queries, keys = query.shape[1], query.shape[2], key.shape[2]
    at_once = max(1, _PROBABILITIES_AT_ONCE // (queries * keys))
    repeats = heads // value.shape[1]
    parts = []
    if mask is None:
        later = torch.ones(queries, keys, dtype=torch.bool, device=query.device).triu(keys - queries + 1)
        mask = ~later
    for first in range(0, heads, at_once):
        chosen = torch.arange(first, min(first + at_once, heads), device=query.device)
        key_heads = chosen // repeats
        probabilities = naive_probabilities(query[:, chosen], key[:, key_heads], mask, scaling)
        probabilities = operands.on_probabilities(layer, first, probabilities)
        parts.append(probabilities @ value[:, key_heads])
    return torch.cat(parts, dim=1).transpose(1, 2).contiguous()


def naive_probabilities(query: Tensor, key: Tensor, mask: Tensor | None, scaling: float) -> Tensor:
    """Return softmax(Q K^T), for methods that replace it.

    Args:
        query: Axes (batch, heads, queries, head_dim).
        key: Axes (batch, kv_heads, keys, head_dim).
        mask: Bool or additive, axes (batch or 1, 1, queries, keys); None for causal.
        scaling: Factor of the scores.

    Returns:
        Axes (batch, heads, queries, keys), in the dtype of ``query``.
    """
    key = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)
    scores = (query @ key.transpose(2, 3)).mul_(scaling)
    queries, keys = scores.shape[-2:]
    lowest = torch.finfo(scores.dtype).min
    if mask is None:
        is_later = torch.ones(queries, keys, dtype=torch.bool, device=scores.device).triu(keys - queries + 1)
        scores.masked_fill_(is_later, lowest)
    elif mask.dtype == torch.bool:
        scores.masked_fill_(~mask, lowest)
    else:
        scores += mask
    return scores.softmax(dim=-1, dtype=torch.float32).to(query.dtype)
