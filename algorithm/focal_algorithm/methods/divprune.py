"""DivPrune: keep the visual tokens that differ most from one another, before the language model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from focal_algorithm.kernels.ordering import cosine_distances, farthest_points, shared_counts
from focal_algorithm.methods.base import (
    CompressionMethod,
    Resequenced,
    TokenStream,
    check_least,
    check_shares,
)
from focal_algorithm.methods.selector import refuse_nan, share_of_picture
from focal_algorithm.methods.study import MethodStudy
from focal_algorithm.prompts.layout import SampleLayout
from focal_common.errors import UnsupportedError
from focal_traces.header.schema import DecoderGeometry


@dataclass(frozen=True, kw_only=True)
class DivPrune(CompressionMethod):
    """Greedy max-min diversity of the input embeddings, by cosine distance, without the question.

    Paper: DivPrune, Alvar et al., CVPR 2025, arXiv:2503.02175, Algorithm 1.
    Deviations: kept tokens count up without gaps, except where positions have several axes: they then keep theirs.
        ``compatible`` follows the released code: distances are rounded to the model's dtype, and where duplicates
        make it choose a token twice, fewer tokens stay than were asked for; an all-zero token, which the code
        chooses for ever, is refused. ``strict`` computes in float32, takes each token once, duplicates by their
        index, gives all-zero tokens distance 1 and keeps at least one token.

    Args:
        retain_ratio: Share of the visual tokens kept, in [0, 1], rounded half to even. Default 0.098: published tables.
        keep_tokens: Visual tokens kept, at most those of the prompt, whatever the ratio; 0 to follow
            ``retain_ratio``.
        scope: ``prompt``: all visual tokens are one pool, as published. ``picture``: each frame of a video keeps its
            own share.
        mode: ``compatible`` or ``strict``.
    """

    study: ClassVar[MethodStudy] = MethodStudy(
        keep="retain_ratio",
        budget_fields=frozenset({"retain_ratio", "keep_tokens"}),
        ignores_question=True,
    )

    retain_ratio: float = 0.098
    keep_tokens: int = 0
    scope: Literal["prompt", "picture"] = "prompt"
    mode: Literal["compatible", "strict"] = "compatible"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shares(self, "retain_ratio", from_zero=True)
        check_least(self, keep_tokens=0)

    def start(self, geometry: DecoderGeometry, layout: SampleLayout) -> None:
        """Check that the prompt has the tokens to keep; raises `ConfigError` where it does not."""
        share_of_picture(self.keep_tokens, layout, "divprune, keep_tokens")

    def count(self, tokens: int) -> int:
        """Return how many tokens of a pool the share leaves."""
        return max(int(self.mode == "strict"), round(self.retain_ratio * tokens))

    def before_layer(self, layer: int, hidden: Tensor, stream: TokenStream, state: Any) -> Resequenced | None:
        """Choose among the input embeddings."""
        if layer:
            return None
        parts = stream.parts(self.scope)
        sizes = [len(part) for part in parts]
        asked = share_of_picture(self.keep_tokens, stream.layout, "divprune, keep_tokens")
        counts = shared_counts(asked, sizes) if asked else [self.count(size) for size in sizes]
        if all(count >= size for count, size in zip(counts, sizes, strict=True)):
            return None
        embeddings = hidden[stream.visual_rows]
        refuse_nan(embeddings.sum(dim=-1), layer, self.name)
        chosen = [
            part[self.order(embeddings[part], count)] for part, count in zip(parts, counts, strict=True)
        ]
        return Resequenced(stream.keeping(torch.cat(chosen)), renumbers=True)

    def order(self, embeddings: Tensor, count: int | None = None) -> Tensor:
        """Return the tokens of a pool in the order in which they are chosen, int64; duplicates may repeat.

        Args:
            embeddings: Axes (tokens, hidden).
            count: How many to choose; those of ``retain_ratio`` if None.

        Raises:
            UnsupportedError: ``compatible``, and a token is all zeros.
        """
        tokens, device = len(embeddings), embeddings.device
        count = self.count(tokens) if count is None else count
        if count >= tokens:
            return torch.arange(tokens, device=device)
        is_strict = self.mode == "strict"
        is_zero = (embeddings == 0).all(dim=-1)
        if not is_strict and bool(is_zero.any()):
            raise UnsupportedError(
                f"divprune: {int(is_zero.sum())} of {tokens} visual tokens are all zeros, and the published rule would "
                "choose nothing else; use mode=strict, which gives them distance 1"
            )
        distances = cosine_distances(embeddings, is_strict=is_strict)
        return farthest_points(distances, tokens, count, device, is_strict=is_strict)
