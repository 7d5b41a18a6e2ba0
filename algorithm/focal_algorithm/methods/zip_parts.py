"""Token selection before the decoder put together from parts: any scorer, any selector, any merger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from focal_algorithm.kernels.hybrid_scores import EPSILON, HybridWeights, hybrid_score, projected_text_score
from focal_algorithm.kernels.kmeans import FarthestPoints, KMeansRules, merge_by_kmeans
from focal_algorithm.kernels.visionzip import (
    merge_into_targets,
    scaled_budget,
    select_diverse,
    select_dominant,
    split_tokens,
)
from focal_algorithm.methods.base import CompressionMethod, check_least, check_shares
from focal_algorithm.methods.study import BudgetParameter, MethodStudy
from focal_algorithm.prompts.layout import SampleLayout
from focal_algorithm.prompts.pictures import CompressedPicture, TowerPicture
from focal_common.errors import ConfigError, UnsupportedError
from focal_traces.header.schema import DecoderGeometry, SampleHeader


class _ZipPartsStudy(MethodStudy):
    def fitted(self, geometry: DecoderGeometry) -> dict[str, Any]:
        """Return counts in their share of each picture, as VisionZip."""
        return {"scale_by_tokens": True}

    def reads_question(self, method: ZipParts) -> bool:
        """Only one scorer does."""
        return method.scorer == "projected_text"

    def budget(
        self, method: ZipParts, geometry: DecoderGeometry, sample: SampleHeader
    ) -> BudgetParameter | None:
        """Return the dominant tokens per picture."""
        if not method.dominant or sample.grid is None:
            return None
        tokens = max(2, sample.visual_tokens // sample.grid.frames)
        start, contextual = method._budget(tokens)
        others = {"contextual": contextual, "scale_by_tokens": False}
        return BudgetParameter(
            "dominant",
            min(start, tokens - 1),
            1,
            tokens - 1,
            rises=True,
            parameters=lambda count: {"dominant": int(count), **others},
            is_integer=True,
        )


@dataclass(frozen=True, kw_only=True)
class ZipParts(CompressionMethod):
    """Scorer, selector and merger of VisionZip and SparseZip in any combination, and two parts they lack.

    Paper: VisionZip, CVPR 2025 (arXiv:2412.04467), sec. 3.2 and 3.3, and SparseZip (published as code), taken
        apart; the diverse selector is maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998,
        doi 10.1145/290941.291025).
    Deviations: not a published method. ``random`` and ``diverse`` are in neither; a negative third weight of
        ``alphas`` turns SparseZip's reward of near-duplicates into a penalty.

    Args:
        scorer: ``attention`` (VisionZip), ``hybrid`` and ``hybrid_min_max`` (SparseZip), ``projected_text`` (its
            form that reads the question), or ``random``.
        selector: ``top`` scores, or ``diverse``: a token loses ``redundancy`` times its largest cosine with a key
            already chosen, against scores mapped to [0, 1].
        merger: Of the rest: ``none`` drops it; ``targets_sum`` (VisionZip), ``targets_mean``, ``single_shot``
            and ``kmeans`` (SparseZip).
        dominant: Tokens kept per picture, CLS not counted; 0 keeps all and merges none.
        contextual: Merged tokens per picture.
        scale_by_tokens: As VisionZip.
        alphas: Weights of attention, entropy and mutual information in the hybrid scores.
        tau_feat: Temperature over channels. tau_sim: Temperature over similarities.
        text_share: Weight of the attention for ``projected_text``, in (0, 1].
        redundancy: Weight of the penalty of ``diverse``, at least 0.
        seed: For ``random``.
        keeps_positions: Whether kept tokens hold the positions they had, instead of counting up without gaps.
    """

    name: ClassVar[str] = "zip_parts"
    study: ClassVar[MethodStudy] = _ZipPartsStudy(
        no_effect={"dominant": 0}, budget_fields=frozenset({"dominant", "contextual", "scale_by_tokens"})
    )

    scorer: Literal["attention", "hybrid", "hybrid_min_max", "projected_text", "random"] = "attention"
    selector: Literal["top", "diverse"] = "top"
    merger: Literal["none", "targets_sum", "targets_mean", "single_shot", "kmeans"] = "targets_sum"
    dominant: int = 53
    contextual: int = 10
    scale_by_tokens: bool = False
    alphas: tuple[float, ...] = (1.0, 0.4, 0.6)
    tau_feat: float = 0.2
    tau_sim: float = 0.1
    text_share: float = 0.6
    redundancy: float = 0.5
    seed: int = 0
    keeps_positions: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, vector_size=1, dominant=0, contextual=0, redundancy=0, seed=0)
        for name in ("tau_feat", "tau_sim"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} must be above 0, got {getattr(self, name)}")
        check_shares(self, "text_share")
        if len(self.alphas) != 3:
            raise ConfigError(f"alphas must be 3 weights (attention, entropy, mutual), got {self.alphas}")

    def start(self, geometry: DecoderGeometry, layout: SampleLayout) -> None:
        """Return no state.

        Raises:
            UnsupportedError: The question is to count, but there is none.
        """
        if self.scorer == "projected_text" and not layout.query_tokens:
            raise UnsupportedError(
                f"{layout.sample_id}: scorer=projected_text weighs the question, but no text follows the visual "
                "tokens; use scorer=attention"
            )

    def compress_picture(self, picture: TowerPicture, state: Any) -> CompressedPicture | None:
        """Keep the dominant tokens of a picture and merge the rest."""
        tokens = len(picture.places)
        dominant, contextual = self._budget(tokens)
        if not dominant or dominant == tokens:
            return None
        scores = self.scores(picture)
        if self.selector == "diverse":
            chosen = select_diverse(scores, picture.keys[0], dominant, self.redundancy)
        else:
            chosen = select_dominant(scores, dominant)
        kept, rest = split_tokens(chosen, tokens)
        merged, own = self._merged(picture.features[rest], picture.keys[0, rest], scores[rest], contextual)
        assignment = torch.full_like(picture.places, -1)
        assignment[rest] = own
        return CompressedPicture(kept, merged, assignment, renumbers=not self.keeps_positions)

    def _budget(self, tokens: int) -> tuple[int, int]:
        """Return dominant and contextual tokens of a picture."""
        if not self.scale_by_tokens or not self.dominant:
            return self.dominant, self.contextual
        return scaled_budget(self.dominant, self.contextual, tokens, 0)

    def scores(self, picture: TowerPicture) -> Tensor:
        """Return the score of each token, axes (tokens), float32."""
        attention = picture.attention[0]
        if self.scorer == "attention":
            return attention.sum(dim=0)
        if self.scorer == "projected_text":
            return projected_text_score(attention, picture.embeddings, picture.text, self.text_share)
        if self.scorer == "random":
            generator = torch.Generator().manual_seed(1_000_003 * self.seed + picture.index)
            return torch.rand(len(picture.places), generator=generator).to(attention.device)
        attention_share, entropy, mutual = self.alphas
        weights = HybridWeights(attention_share, entropy, mutual, self.tau_feat, self.tau_sim)
        return hybrid_score(attention, picture.keys[0], weights, is_min_max=self.scorer == "hybrid_min_max")

    def _merged(
        self, features: Tensor, keys: Tensor, scores: Tensor, contextual: int
    ) -> tuple[Tensor, Tensor]:
        if self.merger == "none" or not contextual:
            return features[:0], torch.full((len(features),), -1, dtype=torch.int64, device=features.device)
        if self.merger == "kmeans":
            return merge_by_kmeans(features, keys, contextual, KMeansRules(), FarthestPoints())
        if self.merger == "single_shot":
            # A weight below zero would subtract a token; the smallest score weighs nothing.
            done = merge_into_targets(
                features,
                keys,
                contextual,
                merge="others",
                epsilon=EPSILON,
                repeats_targets=True,
                weights=scores - scores.amin(),
            )
            return done.features, done.assignment
        done = merge_into_targets(
            features,
            keys,
            contextual,
            merge="sum" if self.merger == "targets_sum" else "mean",
            epsilon=EPSILON,
        )
        return done.features, done.assignment
