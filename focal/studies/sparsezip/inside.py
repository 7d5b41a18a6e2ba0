"""Cuts inside the decoder, by the question or by given scores: the inner cells of the 2 x 2 design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from focal_algorithm.methods.base import AttentionOperands, Resequenced, TokenStream
from focal_algorithm.methods.sparsevlm import SparseVlm, SparseVlmState

__all__ = ["CutInside"]


@dataclass(frozen=True, kw_only=True)
class CutInside(SparseVlm):
    """SparseVLM (ICML 2025, arXiv:2410.04417, sec. 3.2 and 3.3) without recycling; tokens keep their positions.

    Args:
        ranks: Scores of all visual tokens by ``sample_id``, axes (tokens), which replace those of the text; empty to
            let the text rate.
    """

    mode: Literal["compatible", "strict"] = "strict"
    ranks: Mapping[str, Tensor] = field(default_factory=dict)

    def see_attention(
        self, layer: int, operands: AttentionOperands, stream: TokenStream, state: SparseVlmState
    ) -> None:
        """Rate the visual tokens that are still present."""
        if not self.ranks:
            super().see_attention(layer, operands, stream, state)
        elif layer in self.pruning_layers:
            state.relevance = self.ranks[stream.layout.sample_id][stream.visual_positions]

    def _shortened(
        self, hidden: Tensor, stream: TokenStream, relevance: Tensor, is_kept: Tensor
    ) -> Resequenced:
        return Resequenced(stream.keeping(is_kept.nonzero().flatten()))
