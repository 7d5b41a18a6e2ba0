"""Cuts inside the decoder, by the question or by given scores: the inner cells of the 2 x 2 design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from focal_algorithm.methods.base import Resequenced, TokenStream
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

    @property
    def renumbers_positions(self) -> bool:
        """Tokens keep their positions."""
        return False

    def attend(
        self,
        layer: int,
        query: Tensor,
        key: Tensor,
        scaling: float,
        stream: TokenStream,
        state: SparseVlmState,
    ) -> None:
        """Rate the visual tokens that are still present."""
        if not self.ranks:
            super().attend(layer, query, key, scaling, stream, state)
        elif layer in self.pruning_layers:
            state.relevance = self.ranks[stream.layout.sample_id][stream.visual_positions]

    def _shortened(
        self, hidden: Tensor, stream: TokenStream, relevance: Tensor, is_kept: Tensor
    ) -> Resequenced:
        visual, every = stream.visual_rows, torch.arange(len(hidden), device=hidden.device)
        return Resequenced(torch.cat((every[: visual[0]], visual[is_kept], every[visual[-1] + 1 :])))
