"""DivPrune: keep the visual tokens that differ most from one another, before the language model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from focal_algorithm.kernels.ordering import cosine_distances, farthest_points
from focal_algorithm.methods.base import CompressionMethod, Resequenced, TokenStream
from focal_algorithm.methods.selector import refuse_nan
from focal_algorithm.methods.study import MethodStudy
from focal_common.errors import ConfigError, UnsupportedError


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
        scope: ``prompt``: all visual tokens are one pool, as published. ``picture``: each frame of a video keeps its
            own share.
        mode: ``compatible`` or ``strict``.
    """

    study: ClassVar[MethodStudy] = MethodStudy(keep="retain_ratio", ignores_question=True)

    retain_ratio: float = 0.098
    scope: Literal["prompt", "picture"] = "prompt"
    mode: Literal["compatible", "strict"] = "compatible"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.retain_ratio <= 1:
            raise ConfigError(f"retain_ratio must lie in [0, 1], got {self.retain_ratio}")

    def count(self, tokens: int) -> int:
        """Return how many tokens of a pool stay."""
        return max(int(self.mode == "strict"), round(self.retain_ratio * tokens))

    def before_layer(self, layer: int, hidden: Tensor, stream: TokenStream, state: Any) -> Resequenced | None:
        """Choose among the input embeddings."""
        if layer:
            return None
        parts = stream.parts(self.scope)
        if all(self.count(len(part)) >= len(part) for part in parts):
            return None
        embeddings = hidden[stream.visual_rows]
        refuse_nan(embeddings.sum(dim=-1), layer, self.name)
        chosen = [part[self.order(embeddings[part])] for part in parts]
        return Resequenced(stream.keeping(torch.cat(chosen)), renumbers=True)

    def order(self, embeddings: Tensor) -> Tensor:
        """Return the tokens of a pool in the order in which they are chosen, int64; duplicates may repeat.

        Args:
            embeddings: Axes (tokens, hidden).

        Raises:
            UnsupportedError: ``compatible``, and a token is all zeros.
        """
        tokens, device = len(embeddings), embeddings.device
        count = self.count(tokens)
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
