"""Softmax over kept keys only, with which SparseVLM's code trains without dropping tokens."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["softmax_with_policy"]


def softmax_with_policy(logits: Tensor, policy: Tensor) -> Tensor:
    """Return a softmax in which a query sees itself and the kept keys.

    Args:
        logits: Axes (..., tokens, tokens).
        policy: 1 for kept, 0 for dropped tokens, axes (tokens).
    """
    own = torch.eye(logits.shape[-1], dtype=torch.bool, device=logits.device)
    is_open = (policy > 0)[None, :] | own
    open_logits = logits.to(torch.float32).masked_fill(~is_open, -torch.inf)
    return open_logits.softmax(dim=-1).to(logits.dtype)
