"""DART: keep a few pivots and the visual tokens least like them; no attention map is needed."""

from __future__ import annotations

import math
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
    check_shares,
)
from focal_algorithm.methods.selector import check_layer, refuse_nan, share_of_picture
from focal_algorithm.methods.study import KeptTokensStudy, MethodStudy
from focal_algorithm.prompts.layout import SampleLayout
from focal_common.errors import UnsupportedError
from focal_traces.header.schema import DecoderGeometry


@dataclass
class DartState:
    """L1 norm of the keys of each token in the layer before the drop, axes (tokens); None before that layer."""

    norms: Tensor | None = None


_LEAST_TOKENS = 16
"""Visual tokens below which TensorRT Edge-LLM drops none."""


@dataclass(frozen=True, kw_only=True)
class Dart(CompressionMethod):
    """Drops visual tokens that duplicate others: once, in the prefill; kept tokens hold their positions.

    Paper: DART, Wen et al., EMNLP 2025, arXiv:2502.11494.
    Deviations: each image of a prompt is a pool of its own. Norms of keys, which depend on positions, are taken as if
        the prompt began at position 0, so that padding on the left changes nothing. Equal norms and cosines go to the
        lower index. ``compatible`` follows the released code: the budget comes in steps of the pivots (`count`), pivots
        take their turn in the order in which Python iterates over the set of their positions, and a prompt with fewer
        tokens than pivots is refused. ``strict`` keeps exactly the tokens asked for, lets image pivots choose before
        text pivots and each by falling norm, and makes do with the tokens there are. The form of TensorRT Edge-LLM
        (``layer`` 0) is known by its description alone: it keeps the tokens asked for, a share rounded up, by the rules
        of ``strict``, and leaves fewer than 16 visual tokens as they are.

    Args:
        layer: K: layer K - 1 gives the keys, and layers from K on see the kept tokens. Default 2. 0: as TensorRT
            Edge-LLM has it, before the decoder, input embeddings standing in for keys and residual stream.
        reduction_ratio: R, share of the visual tokens removed, in [0, 1]. Default 0.778: published for "128 of 576";
            0.25 in TensorRT Edge-LLM.
        keep_tokens: Visual tokens kept, whatever the ratio: the published form with a number of tokens, which keeps
            196, 132 and 68 for 192, 128 and 64 in ``compatible``; 0 to follow ``reduction_ratio``.
        image_pivots: Pivots among the visual tokens, at least 1. Default 4.
        text_pivots: Pivots among the tokens after the picture. Default 4.
        mode: ``compatible`` or ``strict``.
    """

    study: ClassVar[MethodStudy] = KeptTokensStudy(
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
        check_least(self, layer=0, keep_tokens=0, image_pivots=1, text_pivots=0)
        check_shares(self, "reduction_ratio", from_zero=True)

    @property
    def is_exact(self) -> bool:
        """Whether the budget is met to the token, and pivots choose by falling norm."""
        return self.mode == "strict" or not self.layer

    def each(self, visual_tokens: int, keep_tokens: int = 0) -> int:
        """Return m, how many tokens a pivot takes, in double precision as published."""
        pivots = self.image_pivots + self.text_pivots
        return (
            keep_tokens // pivots if keep_tokens else int((1 - self.reduction_ratio) * visual_tokens / pivots)
        )

    def count(self, visual_tokens: int, keep_tokens: int = 0) -> int:
        """Return how many of N visual tokens stay."""
        if self.is_exact:
            left = (1 - self.reduction_ratio) * visual_tokens
            return keep_tokens or max(1, round(left) if self.layer else math.ceil(left))
        taken = (self.image_pivots + self.text_pivots) * self.each(visual_tokens, keep_tokens)
        return self.image_pivots + min(taken, visual_tokens - self.image_pivots)

    def start(self, geometry: DecoderGeometry, layout: SampleLayout) -> DartState:
        """Return a fresh state.

        Raises:
            ConfigError: The layer or the tokens to keep do not exist.
            UnsupportedError: ``compatible``, and the prompt has fewer tokens than pivots.
        """
        check_layer(geometry, self.layer, "layer: DART drops before")
        self._kept(layout)
        visual, text = layout.visual_tokens, layout.query_tokens
        if not self.is_exact and (visual < self.image_pivots or text < self.text_pivots):
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
        is_small = not self.layer and visual < _LEAST_TOKENS
        return visual if is_idle or is_small else self.count(visual, own)

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
        layout, values, norms = stream.layout, hidden, state.norms
        if layer != self.layer or self._kept(layout) >= len(stream.visual_rows):
            return None
        if not layer:
            norms = hidden.norm(p=1, dim=-1)
            refuse_nan(norms, layer, self.name)
        elif stream.final_norm is not None:
            values = stream.final_norm(hidden)
        if norms is None:
            return None
        state.norms = None
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
        # Built from that list: the order of a set of integers follows its hash table.
        turns = pivots.tolist() if self.is_exact else list(set(pivots.tolist()))
        candidates = visual[~torch.isin(visual, of_image)]
        picks, left = least_similar(values, turns, candidates, self.each(len(visual), keep_tokens))
        chosen = torch.cat((of_image, *picks))
        count = self.count(len(visual), keep_tokens)
        if self.is_exact and len(chosen) < count:
            nearest = cosines(values, pivots, left).amax(dim=0)
            chosen = torch.cat((chosen, left[top_indices(-nearest, count - len(chosen))]))
        return chosen[:count] if self.is_exact else chosen
