"""The smallest kind of method: score the visual tokens once, keep the best before one decoder layer."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from focal_algorithm.kernels.framefusion import last_query_attention
from focal_algorithm.kernels.ordering import select_top, shared_counts
from focal_algorithm.methods.base import (
    AttentionOperands,
    CompressionMethod,
    Resequenced,
    TokenStream,
    check_least,
    check_shares,
)
from focal_algorithm.prompts.layout import SampleLayout
from focal_common.errors import ConfigError, RunError, UnsupportedError
from focal_traces.header.schema import DecoderGeometry


@dataclass(frozen=True)
class TokenSelector(CompressionMethod, ABC):
    """Keeps the visual tokens of the largest scores; a subclass writes `score`, and may set other defaults.

    Text always stays. Kept tokens stay in order and hold their positions. Equal scores go to the lower index. Where
    ``keep`` leaves every token, nothing is scored and the model runs untouched.

    Args:
        keep: Share of the prompt's visual tokens that stay, in (0, 1]; rounded half to even, at least one token.
        keep_tokens: Visual tokens that stay, at most those of the prompt, whatever the share; 0 to follow ``keep``.
        layer: Decoder layer, from 0, before which the others are dropped.
    """

    scope: ClassVar[Literal["picture", "prompt"]] = "picture"
    """``picture``: the budget is shared over the pictures of a prompt, such as the frames of a video, in proportion to
    their tokens. ``prompt``: all visual tokens compete."""

    keep: float = 0.5
    layer: int = 2
    keep_tokens: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shares(self, "keep")
        check_least(self, layer=0, keep_tokens=0)

    @abstractmethod
    def score(self, hidden: Tensor, tokens: TokenStream) -> Tensor:
        """Return how much each token matters; the largest stay.

        Args:
            hidden: Residual stream before the layer, axes (tokens, hidden); before layer 0 the input embeddings.
            tokens: Which tokens these are: ``tokens.visual_rows`` and ``tokens.query_rows`` (the text after the
                picture) index ``hidden``.

        Returns:
            One number for each token, of which those of text count nothing, or one for each visual token.
        """

    def start(self, geometry: DecoderGeometry, layout: SampleLayout) -> None:
        """Check that the budget and the layer fit the prompt.

        Raises:
            ConfigError: The layer does not exist, or the budget is below one token or above those of the prompt.
        """
        check_layer(geometry, self.layer, f"layer: {self.name} drops before")
        self._count(layout)

    def before_layer(self, layer: int, hidden: Tensor, stream: TokenStream, state: Any) -> Resequenced | None:
        """Drop all but the best visual tokens."""
        if layer != self.layer:
            return None
        count = self._count(stream.layout)
        if count >= len(stream.visual_rows):
            return None
        scores = self._checked(self.score(hidden, stream), stream)
        parts = stream.parts(self.scope)
        counts = shared_counts(count, [len(part) for part in parts])
        chosen = [part[select_top(scores[part], own)] for part, own in zip(parts, counts, strict=True)]
        return Resequenced(stream.keeping(torch.cat(chosen)))

    def _count(self, layout: SampleLayout) -> int:
        own = share_of_picture(self.keep_tokens, layout, f"{self.name}, keep_tokens")
        return own or kept_tokens(layout.visual_tokens, self.keep, f"{layout.sample_id}: {self.name}, keep")

    def _checked(self, scores: Tensor, stream: TokenStream) -> Tensor:
        """Return the scores of the visual tokens present, axes (visual tokens)."""
        present, visual = len(stream.token_ids), len(stream.visual_rows)
        if tuple(scores.shape) not in ((present,), (visual,)):
            raise ConfigError(
                f"{self.name}: score returned axes {tuple(scores.shape)}; expected one number for each of the "
                f"{present} tokens, or of the {visual} visual ones"
            )
        own = scores if len(scores) == visual else scores[stream.visual_rows]
        refuse_nan(own, self.layer, self.name)
        return own


def kept_tokens(tokens: int, share: float, what: str) -> int:
    """Return how many of some tokens a share of them is, rounded half to even in double precision.

    Args:
        tokens: How many there are.
        share: In (0, 1].
        what: What the budget is called in an error.

    Raises:
        ConfigError: It rounds to no token.
    """
    count = round(tokens * share)
    if count < 1 <= tokens:
        raise ConfigError(
            f"{what}: {share:g} of {tokens} visual tokens is below one token; expected at least {1 / tokens:.2g}"
        )
    return count


def share_of_picture(asked: int, layout: SampleLayout, where: str) -> int:
    """Return how many visual tokens one image or video of a prompt keeps of a budget for the whole prompt.

    Args:
        asked: Visual tokens of the prompt to keep; 0 for no budget.
        layout: Of the image or video.
        where: Method and field, for the error.

    Raises:
        ConfigError: The prompt has fewer, or none would stay of this picture.
    """
    available = layout.visual_in_all or layout.visual_tokens
    if asked > available:
        raise ConfigError(
            f"{layout.sample_id}: {where}: {asked} tokens are to stay, but the prompt has {available} visual tokens; "
            f"expected at most {available}, or a share of them such as share=0.5"
        )
    own = layout.share_of(asked)
    if asked and not own:
        raise ConfigError(
            f"{layout.sample_id}: {where}: {asked} tokens of {available} leave none to a picture of "
            f"{layout.visual_tokens}; expected at least {-(-available // layout.visual_tokens)}"
        )
    return own


def check_layer(geometry: DecoderGeometry, layer: int, what: str) -> None:
    """Raise `ConfigError` where a decoder lacks a layer; ``what`` names the field and what happens there."""
    if layer >= geometry.layers:
        raise ConfigError(
            f"{what} layer {layer}, but the decoder has {geometry.layers}; expected at most {geometry.layers - 1}"
        )


def attention_of_last(
    operands: AttentionOperands, rows: Tensor, tokens: int, layer: int, method: str
) -> Tensor:
    """Return the attention of the prompt's last token to some tokens, mean over heads, axes (rows).

    Args:
        operands: Of the layer.
        rows: Of the tokens, int64.
        tokens: Of the prompt that are present: `TokenStream.rows_of_prompt`.
        layer: For the error.
        method: Likewise.

    Raises:
        RunError: One is NaN.
    """
    last = slice(tokens - 1, tokens)
    scores = last_query_attention(
        operands.query[:, last],
        operands.key[:, :tokens],
        scaling=operands.scaling,
        mask=operands.mask_of(last, tokens),
        rows=rows,
    )
    refuse_nan(scores, layer, method)
    return scores


def refuse_nan(scores: Tensor, layer: int, method: str) -> None:
    """Raise `RunError` where a score is not a number: it could not be ranked."""
    lost = int(scores.isnan().sum())
    if lost:
        raise RunError(
            f"layer {layer}: {lost} of {len(scores)} scores of {method} are NaN; expected numbers, so look at what the "
            "scores are computed from"
        )


def check_question(layout: SampleLayout, method: str, *, is_strict: bool) -> None:
    """Warn of a prompt whose last token, by which a method ranks, is one of the picture, as published code allows.

    Raises:
        UnsupportedError: ``is_strict``: such a prompt is refused.
    """
    if layout.query_tokens:
        return
    sentence = f"{layout.sample_id}: no text follows the picture, so {method} ranks by the attention of its last token"
    if is_strict:
        raise UnsupportedError(f"{sentence}; expected the question after the picture, or mode=compatible")
    warnings.warn(sentence, stacklevel=2)
