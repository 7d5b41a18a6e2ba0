"""Scores of patches from the question: the published cross map, and one through the real projector.

SparseZip (code only).
"""

from __future__ import annotations

import torch
from torch import Tensor

from focal_algorithm.kernels.sparsezip.scores import EPSILON

__all__ = ["projected_text_score", "text_key_map"]

_MIN_MAX_EPSILON = 1e-6  # source: published code, `textaware` model type


def text_key_map(text: Tensor, keys: Tensor) -> Tensor:
    """Return the dot product of the mean text embedding with each normalised key.

    The embedding's first channels stand for the key's channels, although the two spaces are unrelated: what
    the published code does, hence noise rather than text awareness.

    Args:
        text: Input embeddings of the question, axes (text tokens, hidden).
        keys: Axes (tokens, key width), CLS included where there is one.

    Returns:
        Axes (tokens), float32.
    """
    mean = text.to(torch.float32).mean(dim=0)
    mean = mean / (mean.norm() + EPSILON)
    width = keys.shape[-1]
    query = torch.nn.functional.pad(mean[:width], (0, max(0, width - len(mean))))
    values = keys.to(torch.float32)
    return (values / (values.norm(dim=-1, keepdim=True) + EPSILON)) @ query


def projected_text_score(attention: Tensor, embeddings: Tensor, text: Tensor, share: float = 0.6) -> Tensor:
    """Return ``share`` of the attention and the rest of the likeness to the question, each mapped to [0, 1].

    Args:
        attention: Attention that each patch receives, axes (heads, patches).
        embeddings: Patches in the language model's space, axes (patches, hidden).
        text: Input embeddings of the question, axes (text tokens, hidden).
        share: Weight of the attention. Default: published code.
    """
    likeness = embeddings.to(torch.float32) @ text.to(torch.float32).mean(dim=0)
    received = attention.to(torch.float32).sum(dim=0)
    return share * _min_max(received) + (1 - share) * _min_max(likeness)


def _min_max(values: Tensor) -> Tensor:
    return (values - values.amin()) / (values.amax() - values.amin() + _MIN_MAX_EPSILON)
