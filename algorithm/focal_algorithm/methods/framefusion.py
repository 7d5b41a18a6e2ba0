"""FrameFusion: alike tokens of consecutive frames merge, then unattended tokens are dropped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from focal_algorithm.kernels.framefusion import (
    last_query_attention,
    merge_alike,
    prune_to_budget,
    remaining_reduction,
    spent_layers,
)
from focal_algorithm.methods.base import (
    AttentionOperands,
    CompressionMethod,
    Resequenced,
    TokenStream,
    check_least,
    check_shares,
)
from focal_algorithm.methods.study import BudgetParameter, MethodStudy
from focal_algorithm.prompts.layout import SampleLayout, has_gaps, is_pyramid
from focal_common.errors import ConfigError, UnsupportedError
from focal_traces.header.schema import DecoderGeometry, SampleHeader

_MERGING_ROUNDS = 3
"""Layers' worth of tokens that a shallow decoder must be able to pay for merging; assumed, see `fitted`."""


@dataclass
class FramefusionState:
    """What FrameFusion remembers between the layers of one prefill.

    Attributes:
        layers: Decoder layers.
        patches: P, tokens per frame.
        ratios: Merge ratios achieved so far.
        has_merged: Whether merging is finished.
        has_pruned: Whether pruning is finished.
        weights: Attention to the visual tokens present, axes (visual tokens); None unless they are to be pruned.
    """

    layers: int
    patches: int
    ratios: list[float] = field(default_factory=list)
    has_merged: bool = False
    has_pruned: bool = False
    weights: Tensor | None = None


class _FramefusionStudy(MethodStudy):
    def published(self, model: str, dataset: str) -> dict[str, Any]:
        """Return the one published setting, for the video models it was run on."""
        if model not in ("llava_video", "llava_onevision", "minicpm_v"):
            return {}
        if dataset not in ("videomme", "mlvu", "mvbench"):
            return {}
        return {"cost": 0.3, "similarity": 0.6, "least_ratio": 0.1}

    def fitted(self, geometry: DecoderGeometry) -> dict[str, Any]:
        """Return a larger cost where 0.3 of the layers could not pay for a few rounds of merging."""
        least = _MERGING_ROUNDS / geometry.layers
        return {"cost": min(1.0, least)} if least > Framefusion.cost else {}

    def budget(self, method: Framefusion, geometry: DecoderGeometry, sample: SampleHeader) -> BudgetParameter:
        """Return the cost."""
        return BudgetParameter(
            "cost", method.cost, 1e-3, 1.0, rises=True, parameters=lambda cost: {"cost": cost}
        )


@dataclass(frozen=True, kw_only=True)
class Framefusion(CompressionMethod):
    """Merging before layer 0 and after the attention of each layer, until few tokens are alike; then pruning.

    Paper: FrameFusion, Fu et al., ICCV 2025, arXiv 2501.01986, sec. 4 (merging, pruning, and the cost they are
        given).
    Deviations: in ``compatible`` mode none from the official implementation as the published Focus artifact
        runs it, except that the budget counts the layers of the model (28 in all published models), means are
        summed in fp32, the lower index is kept among equals, and single images are accepted (all their tokens
        are first of their type, so they are pruned only). The place of a token in its frame is its visual number
        modulo S / N. ``strict`` mode ends merging where the next round could overspend the budget, instead
        of refusing the prompt.

    Args:
        cost: Mean fraction of the visual tokens per layer, in (0, 1]. Default 0.3: published scripts.
        similarity: Cosine from which a token resembles its predecessor. Default 0.6: published call.
        least_ratio: Fraction of alike tokens below which merging ends. Default 0.1: published call.
        mode: ``compatible`` with the published artifact, or ``strict``.
    """

    study: ClassVar[MethodStudy] = _FramefusionStudy(no_effect={"cost": 1.0, "similarity": 2.0})

    cost: float = 0.3
    similarity: float = 0.6
    least_ratio: float = 0.1
    mode: Literal["compatible", "strict"] = "compatible"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shares(self, "cost", "least_ratio")
        check_least(self, similarity=-1)  # above 1 is no mistake: it turns merging off

    def start(self, geometry: DecoderGeometry, layout: SampleLayout) -> FramefusionState:
        """Return a fresh state.

        Raises:
            ConfigError: The visual tokens have no grid, or are no whole number of frames.
            UnsupportedError: Other tokens lie between the frames.
        """
        if layout.grid is None:
            raise ConfigError(
                f"{layout.sample_id}: visual tokens without a grid; expected frames, rows, columns"
            )
        if has_gaps(layout):
            raise UnsupportedError(
                f"{layout.sample_id}: FrameFusion compares each token with the same place of the frame before, but "
                "other tokens lie between its frames; expected frames that follow each other"
            )
        frames = 1 if is_pyramid(layout.grid) else layout.grid.frames
        if layout.visual_tokens % frames:
            raise ConfigError(
                f"{layout.sample_id}: {layout.visual_tokens} visual tokens are not {frames} whole frames"
            )
        return FramefusionState(geometry.layers, layout.visual_tokens // frames)

    def see_attention(
        self, layer: int, operands: AttentionOperands, stream: TokenStream, state: FramefusionState
    ) -> None:
        """Weigh the visual tokens by the attention of the prompt's last token, if they are to be pruned."""
        if not state.has_merged or state.has_pruned:
            return
        end = int((stream.token_ids < stream.layout.sequence_tokens).nonzero()[-1]) + 1
        state.weights = last_query_attention(
            operands.query[:, end - 1 : end],
            operands.key[:, :end],
            scaling=operands.scaling,
            mask=operands.mask_of(slice(end - 1, end), end),
            rows=stream.visual_rows,
        )

    def before_layer(
        self, layer: int, hidden: Tensor, stream: TokenStream, state: FramefusionState
    ) -> Resequenced | None:
        """Merge, or prune, before the first layer too."""
        return None if layer else self.after_attention(layer, hidden, stream, state)

    def after_attention(
        self, layer: int, hidden: Tensor, stream: TokenStream, state: FramefusionState
    ) -> Resequenced | None:
        """Merge, or prune once merging is finished."""
        if not state.has_merged:
            return self._merge(hidden, stream, state)
        if state.weights is None:
            return None
        kept = prune_to_budget(state.weights, self._reduction(state))
        state.weights, state.has_pruned = None, True
        return Resequenced(stream.keeping(kept))

    def _merge(self, hidden: Tensor, stream: TokenStream, state: FramefusionState) -> Resequenced | None:
        visual = stream.visual_rows
        merge = merge_alike(
            hidden[visual],
            stream.visual_positions % state.patches,
            similarity=self.similarity,
            budget=self._reduction(state),
        )
        if merge.is_over_budget:
            state.has_merged = state.has_pruned = True
        else:
            state.ratios.append(merge.ratio)
            state.has_merged = merge.ratio < self.least_ratio or self._must_stop(state)
        own = torch.arange(len(visual), device=hidden.device)
        is_head = merge.representative == own
        if bool(is_head.all()):
            return None
        rows = stream.keeping(is_head.nonzero().flatten())
        values = hidden.index_copy(0, visual, merge.values)[rows]
        merged_into = torch.arange(len(hidden), device=hidden.device)
        merged_into[visual] = visual[merge.representative]
        return Resequenced(rows, values, merged_into)

    def _reduction(self, state: FramefusionState) -> float:
        return remaining_reduction(state.ratios, cost=self.cost, layers=state.layers)

    def _must_stop(self, state: FramefusionState) -> bool:
        """Return whether one more round that merges nothing would overspend the budget (strict mode)."""
        return self.mode == "strict" and spent_layers([*state.ratios, 0.0])[1] > state.layers * self.cost
