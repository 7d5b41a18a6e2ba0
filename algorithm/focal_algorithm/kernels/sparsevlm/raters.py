"""Which text tokens rate the visual ones, and how relevant they find them.

SparseVLM, ICML 2025 (arXiv:2410.04417), sec. 3.2 and 3.3; the head selection is that of its second version.
"""

from __future__ import annotations

import torch
from torch import Tensor

from focal_algorithm.kernels.ordering import top_indices

__all__ = ["attention_rows", "rank_of", "rater_scores", "raters_of", "relevance_of", "selected_heads"]


def rater_scores(visual: Tensor, text: Tensor) -> Tensor:
    """Return how much each text token is meant by the visual ones: mean over them of a softmax over text.

    Args:
        visual: Input embeddings, axes (visual tokens, hidden).
        text: Input embeddings of the text after the visual tokens, axes (text tokens, hidden).

    Returns:
        Axes (text tokens), float32.
    """
    likeness = visual.to(torch.float32) @ text.to(torch.float32).T
    return likeness.softmax(dim=-1).mean(dim=0)


def raters_of(scores: Tensor) -> Tensor:
    """Return the text tokens whose score is above the mean, ascending, int64."""
    return (scores > scores.mean()).nonzero().flatten()


def attention_rows(query: Tensor, key: Tensor, rows: Tensor, scaling: float) -> Tensor:
    """Return the causal attention of some rows only.

    Args:
        query: Axes (heads, tokens, head_dim), after the position embedding.
        key: Axes (kv_heads, tokens, head_dim).
        rows: Rows wanted, axes (rows), int64.
        scaling: Factor of the scores.

    Returns:
        Axes (heads, rows, tokens), float32.
    """
    wanted = query[:, rows].to(torch.float32)
    heads, count, head_dim = wanted.shape
    grouped = wanted.view(len(key), heads // len(key) * count, head_dim)
    scores = (grouped @ key.to(torch.float32).transpose(1, 2)) * scaling
    index = torch.arange(key.shape[1], device=key.device)
    is_later = index[None, :] > rows[:, None]
    return scores.view(heads, count, -1).masked_fill(is_later, -torch.inf).softmax(dim=-1)


def selected_heads(attention: Tensor, count: int) -> Tensor:
    """Return the heads that pay most attention in all, in descending order.

    Args:
        attention: Of the raters to the visual tokens, axes (heads, raters, visual tokens).
        count: Heads to keep.
    """
    return top_indices(attention.sum(dim=(1, 2)), count)


def relevance_of(attention: Tensor) -> Tensor:
    """Return the mean over heads and raters, axes (visual tokens); arguments as `selected_heads`."""
    return attention.mean(dim=0).mean(dim=0)


def rank_of(attention: Tensor) -> int:
    """Return the rank of the head-mean block of raters by visual tokens, as the first version uses it."""
    return int(torch.linalg.matrix_rank(attention.mean(dim=0).to(torch.float32)))
