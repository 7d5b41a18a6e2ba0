"""FastV: before an early layer, keep the visual tokens that the last prompt token attended to most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from focal_algorithm.kernels.ordering import select_top
from focal_algorithm.methods.base import (
    AttentionOperands,
    CompressionMethod,
    Resequenced,
    TokenStream,
    check_least,
    check_shares,
)
from focal_algorithm.methods.selector import (
    attention_of_last,
    check_layer,
    check_question,
    share_of_picture,
)
from focal_algorithm.methods.study import KeptTokensStudy, MethodStudy
from focal_algorithm.prompts.layout import SampleLayout
from focal_common.errors import ConfigError
from focal_traces.header.schema import DecoderGeometry


@dataclass
class FastVState:
    """Attention to each visual token in the layer before the drop, axes (visual tokens); None before that layer."""

    scores: Tensor | None = None


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

    study: ClassVar[MethodStudy] = KeptTokensStudy(
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
        check_least(self, layer=1, keep_tokens=0)
        check_shares(self, "prune_ratio", from_zero=True)

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
        check_layer(geometry, self.layer, "layer: FastV drops before")
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
        if layer == self.layer - 1 and self._kept(stream.layout) < len(stream.visual_rows):
            state.scores = attention_of_last(
                operands, stream.visual_rows, stream.rows_of_prompt, layer, self.name
            )

    def before_layer(self, layer: int, hidden: Tensor, stream: TokenStream, state: Any) -> Resequenced | None:
        """Keep the most attended visual tokens and all text."""
        if layer != self.layer or state.scores is None:
            return None
        scores, state.scores = state.scores, None
        return Resequenced(stream.keeping(select_top(scores, self._kept(stream.layout))))
