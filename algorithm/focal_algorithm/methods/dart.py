"""DART: keep a few pivots and the visual tokens least like them; no attention map is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from focal_algorithm.kernels.duplication import cosines, from_position_zero, key_norms, least_similar
from focal_algorithm.kernels.ordering import top_indices
from focal_algorithm.methods.base import (
    AttentionOperands,
    CompressionMethod,
    Resequenced,
    TokenStream,
    check_least,
)
from focal_algorithm.methods.selector import refuse_nan, share_of_picture
from focal_algorithm.methods.study import BudgetParameter, MethodStudy
from focal_algorithm.prompts.layout import SampleLayout
from focal_common.errors import ConfigError, UnsupportedError
from focal_traces.header.schema import DecoderGeometry, SampleHeader


@dataclass
class DartState:
    """L1 norm of the keys of each token in the layer before the drop, axes (tokens); None before that layer."""

    norms: Tensor | None = None


class _DartStudy(MethodStudy):
    def budget(self, method: Dart, geometry: DecoderGeometry, sample: SampleHeader) -> BudgetParameter:
        """Return the visual tokens left after the drop, which ``compatible`` meets in steps of its pivots."""
        most = max(1, sample.visual_tokens)
        start = method.keep_tokens or round(most * (1 - method.reduction_ratio))
        return BudgetParameter(
            "keep_tokens",
            min(most, max(1, start)),
            1,
            most,
            rises=True,
            parameters=lambda count: {"keep_tokens": int(count)},
            is_integer=True,
        )


@dataclass(frozen=True, kw_only=True)
class Dart(CompressionMethod):
    """Drops visual tokens that duplicate others: once, in the prefill; kept tokens hold their positions.

    Paper: DART, Wen et al., EMNLP 2025, arXiv:2502.11494.
    Deviations: each image of a prompt is a pool of its own. Norms of keys, which depend on positions, are taken as if
        the prompt began at position 0, so that padding on the left changes nothing. Equal norms and cosines go to the
        lower index. ``compatible`` follows the released code: the budget comes in steps of the pivots (`count`), pivots
        take their turn in the order in which Python iterates over the set of their positions, and a prompt with fewer
        tokens than pivots is refused. ``strict`` keeps exactly the tokens asked for, lets image pivots choose before
        text pivots and each by falling norm, and makes do with the tokens there are.

    Args:
        layer: K, at least 1: layer K - 1 gives the keys, and layers from K on see the kept tokens. Default 2.
        reduction_ratio: R, share of the visual tokens removed, in [0, 1]. Default 0.778: published for "128 of 576".
        keep_tokens: Visual tokens kept, whatever the ratio: the published form with a number of tokens, which keeps
            196, 132 and 68 for 192, 128 and 64 in ``compatible``; 0 to follow ``reduction_ratio``.
        image_pivots: Pivots among the visual tokens, at least 1. Default 4.
        text_pivots: Pivots among the tokens after the picture. Default 4.
        mode: ``compatible`` or ``strict``.
    """

    study: ClassVar[MethodStudy] = _DartStudy(
        drop="reduction_ratio",
        no_effect={"reduction_ratio": 0.0},
        budget_fields=frozenset({"reduction_ratio", "keep_tokens"}),
    )

    layer: int = 2
    reduction_ratio: float = 0.778
    keep_tokens: int = 0
    image_pivots: int = 4
    text_pivots: int = 4
    mode: Literal["compatible", "strict"] = "compatible"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, layer=1, keep_tokens=0, image_pivots=1, text_pivots=0)
        if not 0 <= self.reduction_ratio <= 1:
            raise ConfigError(f"reduction_ratio must lie in [0, 1], got {self.reduction_ratio}")

    def each(self, visual_tokens: int, keep_tokens: int = 0) -> int:
        """Return m, how many tokens a pivot takes, in double precision as published."""
        pivots = self.image_pivots + self.text_pivots
        return (
            keep_tokens // pivots if keep_tokens else int((1 - self.reduction_ratio) * visual_tokens / pivots)
        )

    def count(self, visual_tokens: int, keep_tokens: int = 0) -> int:
        """Return how many of N visual tokens stay."""
        if self.mode == "strict":
            return keep_tokens or max(1, round((1 - self.reduction_ratio) * visual_tokens))
        taken = (self.image_pivots + self.text_pivots) * self.each(visual_tokens, keep_tokens)
        return self.image_pivots + min(taken, visual_tokens - self.image_pivots)

    def start(self, geometry: DecoderGeometry, layout: SampleLayout) -> DartState:
        """Return a fresh state.

        Raises:
            ConfigError: The layer or the tokens to keep do not exist.
            UnsupportedError: ``compatible``, and the prompt has fewer tokens than pivots.
        """
        if self.layer >= geometry.layers:
            raise ConfigError(
                f"layer: DART drops before layer {self.layer}, but the decoder has {geometry.layers}; expected at "
                f"most {geometry.layers - 1}"
            )
        self._kept(layout)
        visual, text = layout.visual_tokens, layout.query_tokens
        if self.mode == "compatible" and (visual < self.image_pivots or text < self.text_pivots):
            raise UnsupportedError(
                f"{layout.sample_id}: {visual} visual tokens and {text} tokens after them are too few for "
                f"{self.image_pivots} image and {self.text_pivots} text pivots; expected at least as many, or "
                "mode=strict"
            )
        return DartState()

    def _kept(self, layout: SampleLayout) -> int:
        """Return n, or N where nothing is to be removed: the published count would fall short of it."""
        own = share_of_picture(self.keep_tokens, layout, "dart, keep_tokens")
        visual = layout.visual_tokens
        is_idle = own == visual if self.keep_tokens else not self.reduction_ratio
        return visual if is_idle else self.count(visual, own)

    def see_attention(
        self, layer: int, operands: AttentionOperands, stream: TokenStream, state: DartState
    ) -> None:
        """Keep the norm of each token's keys."""
        if layer == self.layer - 1 and self._kept(stream.layout) < len(stream.visual_rows):
            state.norms = key_norms(from_position_zero(operands.key, operands.rotary))
            refuse_nan(state.norms, layer, self.name)

    def before_layer(
        self, layer: int, hidden: Tensor, stream: TokenStream, state: DartState
    ) -> Resequenced | None:
        """Keep pivots and what they choose, and all text."""
        if layer != self.layer or state.norms is None or stream.final_norm is None:
            return None
        norms, state.norms = state.norms, None
        values, layout = stream.final_norm(hidden), stream.layout
        own = share_of_picture(self.keep_tokens, layout, "dart, keep_tokens")
        chosen = self.choose(values, norms, stream.visual_rows, stream.query_rows, own)
        is_kept = torch.zeros(len(hidden), dtype=torch.bool, device=hidden.device)
        is_kept[chosen] = True
        return Resequenced(stream.keeping(is_kept[stream.visual_rows].nonzero().flatten()))

    def choose(
        self, values: Tensor, norms: Tensor, visual: Tensor, text: Tensor, keep_tokens: int = 0
    ) -> Tensor:
        """Return the visual tokens that stay, in the order in which they are chosen, int64.

        Args:
            values: Residual stream after the last norm, axes (tokens, hidden).
            norms: Of the keys, axes (tokens).
            visual: Rows of the visual tokens, ascending.
            text: Rows of the tokens after them, ascending.
            keep_tokens: As the field; 0 to follow ``reduction_ratio``.
        """
        of_image = visual[top_indices(norms[visual], self.image_pivots)]
        of_text = text[top_indices(norms[text], self.text_pivots)]
        pivots = torch.cat((of_image, of_text))
        is_strict = self.mode == "strict"
        # Built from that list: the order of a set of integers follows its hash table.
        turns = pivots.tolist() if is_strict else list(set(pivots.tolist()))
        candidates = visual[~torch.isin(visual, of_image)]
        picks, left = least_similar(values, turns, candidates, self.each(len(visual), keep_tokens))
        chosen = torch.cat((of_image, *picks))
        count = self.count(len(visual), keep_tokens)
        if is_strict and len(chosen) < count:
            nearest = cosines(values, pivots, left).amax(dim=0)
            chosen = torch.cat((chosen, left[top_indices(-nearest, count - len(chosen))]))
        return chosen[:count] if is_strict else chosen
