"""FastV: before an early layer, keep the visual tokens that the last prompt token attended to most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from focal_algorithm.kernels.framefusion import last_query_attention
from focal_algorithm.kernels.ordering import select_top
from focal_algorithm.methods.base import (
    AttentionOperands,
    CompressionMethod,
    Resequenced,
    TokenStream,
    check_least,
)
from focal_algorithm.methods.selector import check_question, refuse_nan, share_of_picture
from focal_algorithm.methods.study import BudgetParameter, MethodStudy
from focal_algorithm.prompts.layout import SampleLayout
from focal_common.errors import ConfigError
from focal_traces.header.schema import DecoderGeometry, SampleHeader


@dataclass
class FastVState:
    """Attention to each visual token in the layer before the drop, axes (visual tokens); None before that layer."""

    scores: Tensor | None = None


class _FastVStudy(MethodStudy):
    def budget(self, method: FastV, geometry: DecoderGeometry, sample: SampleHeader) -> BudgetParameter:
        """Return the visual tokens left after the drop; the layers before it always hold all of them."""
        most = max(1, sample.visual_tokens)
        return BudgetParameter(
            "keep_tokens",
            min(most, max(1, method.keep_tokens or method.count(most))),
            1,
            most,
            rises=True,
            parameters=lambda count: {"keep_tokens": int(count)},
            is_integer=True,
        )


@dataclass(frozen=True, kw_only=True)
class FastV(CompressionMethod):
    """Ranks visual tokens once, in the prefill; kept tokens hold their positions, and decode never prunes.

    Paper: FastV, Chen et al., ECCV 2024, arXiv:2403.06764; the form with a key-value cache.
    Deviations: each prompt of a batch ranks its own tokens, and equal scores go to the lower index. Of the released
        variants, those that mask instead of dropping, or rank again for each new token, are not offered.
        ``compatible`` may leave no visual token, as the released code does, and warns where no text follows the
        picture; ``strict`` refuses both.

    Args:
        layer: K, at least 1: layer K - 1 gives the attention, and layers from K on see the kept tokens. Default 2.
        prune_ratio: R, share of the visual tokens removed, in [0, 1]. Default 0.5.
        keep_tokens: Visual tokens kept, at most those of the prompt, whatever the ratio; 0 to follow ``prune_ratio``.
            Published tables: 192, 128 or 64 of 576; 640, 320 or 160 of 2,880.
        rounding: Of N (1 - R): ``nearest`` (half to even; the Hugging Face variant) or ``down`` (lmms-eval).
        mode: ``compatible`` or ``strict``.
    """

    study: ClassVar[MethodStudy] = _FastVStudy(
        drop="prune_ratio",
        no_effect={"prune_ratio": 0.0},
        budget_fields=frozenset({"prune_ratio", "keep_tokens"}),
    )

    layer: int = 2
    prune_ratio: float = 0.5
    keep_tokens: int = 0
    rounding: Literal["nearest", "down"] = "nearest"
    mode: Literal["compatible", "strict"] = "compatible"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layer < 1:
            raise ConfigError(
                f"layer must be at least 1: the layer before it gives the scores; got {self.layer}"
            )
        if not 0 <= self.prune_ratio <= 1:
            raise ConfigError(f"prune_ratio must lie in [0, 1], got {self.prune_ratio}")
        check_least(self, keep_tokens=0)

    def count(self, visual_tokens: int) -> int:
        """Return how many of N visual tokens the ratio leaves, in double precision as published."""
        kept = visual_tokens * (1 - self.prune_ratio)
        return int(kept) if self.rounding == "down" else round(kept)

    def _kept(self, layout: SampleLayout) -> int:
        own = share_of_picture(self.keep_tokens, layout, "fastv, keep_tokens")
        return own or self.count(layout.visual_tokens)

    def start(self, geometry: DecoderGeometry, layout: SampleLayout) -> FastVState:
        """Return a fresh state.

        Raises:
            ConfigError: The layer or the tokens to keep do not exist, or ``strict`` is left with no visual token.
            UnsupportedError: ``strict``, and no text follows the picture.
        """
        if self.layer >= geometry.layers:
            raise ConfigError(
                f"layer: FastV drops before layer {self.layer}, but the decoder has {geometry.layers}; expected at "
                f"most {geometry.layers - 1}"
            )
        if self._kept(layout) < 1 and self.mode == "strict":
            raise ConfigError(
                f"{layout.sample_id}: prune_ratio {self.prune_ratio:g} leaves none of {layout.visual_tokens} visual "
                "tokens; expected at least one, or mode=compatible for text alone"
            )
        check_question(layout, self.name, is_strict=self.mode == "strict")
        return FastVState()

    def see_attention(
        self, layer: int, operands: AttentionOperands, stream: TokenStream, state: FastVState
    ) -> None:
        """Compute one row of attention: that of the prompt's last token."""
        visual = len(stream.visual_rows)
        if layer != self.layer - 1 or self._kept(stream.layout) >= visual:
            return
        end = stream.rows_of_prompt
        state.scores = last_query_attention(
            operands.query[:, end - 1 : end],
            operands.key[:, :end],
            scaling=operands.scaling,
            mask=operands.mask_of(slice(end - 1, end), end),
            rows=stream.visual_rows,
        )
        refuse_nan(state.scores, layer, self.name)

    def before_layer(self, layer: int, hidden: Tensor, stream: TokenStream, state: Any) -> Resequenced | None:
        """Keep the most attended visual tokens and all text."""
        if layer != self.layer or state.scores is None:
            return None
        scores, state.scores = state.scores, None
        return Resequenced(stream.keeping(select_top(scores, self._kept(stream.layout))))
