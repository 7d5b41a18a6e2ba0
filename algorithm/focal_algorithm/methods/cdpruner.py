"""CDPruner: keep a set of visual tokens that is diverse and relevant to the question, before the language model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from focal_algorithm.kernels.determinant import determinant_order, mean_cosine, scaled_relevance, unit_rows
from focal_algorithm.kernels.ordering import shared_counts
from focal_algorithm.methods.base import (
    CompressionMethod,
    Resequenced,
    TokenStream,
    check_least,
    check_shares,
)
from focal_algorithm.methods.selector import kept_tokens, refuse_nan, share_of_picture
from focal_algorithm.methods.study import MethodStudy
from focal_algorithm.prompts.layout import SampleLayout
from focal_common.errors import ConfigError, UnsupportedError
from focal_traces.header.schema import DecoderGeometry


class _CdPrunerStudy(MethodStudy):
    def reads_question(self, method: CdPruner) -> bool:
        """Only where relevance counts."""
        return method.relevance != "none"


@dataclass(frozen=True, kw_only=True)
class CdPruner(CompressionMethod):
    """Greedy choice by determinant: likeness of the input embeddings, weighed by relevance to the question.

    Paper: CDPruner, Zhang et al., NeurIPS 2025, arXiv:2506.10967.
    Deviations: relevance is the paper's form for models without a CLIP text tower, which stock checkpoints lack: the
        cosine with the mean input embedding of the text after the picture, chat template included, not negated. The
        budget is that of the prompt, shared over its frames or tiles in proportion. Kept tokens count up without gaps,
        as published, except where positions have several axes. ``compatible`` follows the released code: where the
        rank of the features is below the budget, fewer tokens stay; all-zero tokens, equal relevance and prompts
        without a question, on which that code fails, are refused. ``strict`` fills up with the most relevant tokens,
        gives all-zero tokens no likeness, and goes by diversity alone where relevance says nothing.

    Args:
        keep: Share of the visual tokens that stay, in (0, 1]. Default 1/9: published 64 of 576.
        keep_tokens: Visual tokens that stay, at most those of the prompt, whatever the share; 0 to follow ``keep``.
        relevance: ``embeddings``, or ``none`` for diversity alone.
        theta: Weight of relevance in [0, 1), of an option of the released code that is off by default: relevance r
            becomes exp(r theta / (2 - 2 theta)); None for r itself.
        mode: ``compatible`` or ``strict``.
    """

    study: ClassVar[MethodStudy] = _CdPrunerStudy(budget_fields=frozenset({"keep", "keep_tokens"}))

    keep: float = 1 / 9
    keep_tokens: int = 0
    relevance: Literal["embeddings", "none"] = "embeddings"
    theta: float | None = None
    mode: Literal["compatible", "strict"] = "compatible"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, keep_tokens=0)
        check_shares(self, "keep")
        # A field that may be None has no type by which `build_method` knows other values.
        if self.theta is not None and not (type(self.theta) in (int, float) and 0 <= self.theta < 1):
            raise ConfigError(f"theta must be a number in [0, 1), got {self.theta!r:.80}")

    def start(self, geometry: DecoderGeometry, layout: SampleLayout) -> None:
        """Check the budget and the question.

        Raises:
            ConfigError: The budget is below one token or above those of the prompt.
            UnsupportedError: ``compatible``, and there is no question to be relevant to.
        """
        self._count(layout)
        if self.relevance != "none" and not layout.query_tokens and self.mode == "compatible":
            raise UnsupportedError(
                f"{layout.sample_id}: cdpruner weighs relevance to the question, but no text follows the visual "
                "tokens; expected a question, relevance=none or mode=strict"
            )

    def before_layer(self, layer: int, hidden: Tensor, stream: TokenStream, state: Any) -> Resequenced | None:
        """Choose among the input embeddings."""
        if layer or self._count(stream.layout) >= len(stream.visual_rows):
            return None
        embeddings = hidden[stream.visual_rows]
        refuse_nan(embeddings.sum(dim=-1), layer, self.name)
        relevance = self.weights(self._scores(embeddings, hidden[stream.query_rows]))
        refuse_nan(relevance, layer, self.name)
        parts = stream.parts("picture")
        counts = shared_counts(self._count(stream.layout), [len(part) for part in parts])
        chosen = [
            part[self.order(embeddings[part], relevance[part], count)]
            for part, count in zip(parts, counts, strict=True)
        ]
        return Resequenced(stream.keeping(torch.cat(chosen)), renumbers=True)

    def weights(self, scores: Tensor) -> Tensor:
        """Return the relevance of all tokens of a prompt, any axes, from their scores; equal scores are of no use.

        Raises:
            UnsupportedError: ``compatible``, and all scores are equal.
        """
        is_strict = self.mode == "strict"
        if not is_strict and self.relevance != "none" and bool(scores.amin() == scores.amax()):
            raise UnsupportedError(
                "cdpruner: all visual tokens are equally relevant, by which the published rule divides by zero; use "
                "mode=strict or relevance=none"
            )
        relevance = scaled_relevance(scores, is_strict=is_strict or self.relevance == "none")
        return relevance if self.theta is None else (relevance * self.theta / (2 * (1 - self.theta))).exp()

    def order(self, embeddings: Tensor, relevance: Tensor, count: int) -> Tensor:
        """Return the tokens of a picture in the order in which they are chosen, int64.

        Args:
            embeddings: Axes (tokens, hidden).
            relevance: Axes (tokens).
            count: How many to choose.

        Raises:
            UnsupportedError: ``compatible``, and a token is all zeros.
        """
        is_strict = self.mode == "strict"
        zeros = int((embeddings == 0).all(dim=-1).sum())
        if zeros and not is_strict:
            raise UnsupportedError(
                f"cdpruner: {zeros} of {len(embeddings)} visual tokens are all zeros, whose likeness the published "
                "rule does not define; use mode=strict, which gives them none"
            )
        return determinant_order(
            unit_rows(embeddings, is_strict=is_strict), relevance, count, is_strict=is_strict
        )

    def _scores(self, embeddings: Tensor, text: Tensor) -> Tensor:
        if self.relevance == "none" or not len(text):
            return embeddings.new_zeros(len(embeddings), dtype=torch.float32)
        return mean_cosine(embeddings, text.to(torch.float32).mean(dim=0, keepdim=True))

    def _count(self, layout: SampleLayout) -> int:
        own = share_of_picture(self.keep_tokens, layout, "cdpruner, keep_tokens")
        return own or kept_tokens(layout.visual_tokens, self.keep, f"{layout.sample_id}: cdpruner, keep")
