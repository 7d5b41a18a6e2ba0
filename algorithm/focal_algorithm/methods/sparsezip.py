"""SparseZip: hybrid scores choose the dominant tokens of each picture, clusters of keys merge the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from focal_algorithm.kernels.hybrid_scores import (
    HybridWeights,
    attention_mass_k,
    projected_text_score,
    text_key_map,
)
from focal_algorithm.kernels.kmeans import Draws, FarthestPoints, KMeansRules, SeededDraws
from focal_algorithm.kernels.sparsezip import SparseZipRules, chosen_k, compress, patch_scores
from focal_algorithm.methods.base import CompressionMethod, HostNeeds, check_least, check_shares
from focal_algorithm.methods.study import BudgetParameter, MethodStudy
from focal_algorithm.prompts.layout import SampleLayout
from focal_algorithm.prompts.pictures import CompressedPicture, TowerPicture
from focal_common.errors import ConfigError, UnsupportedError
from focal_traces.header.schema import DecoderGeometry, SampleHeader

_MOST_TEXT = 77  # text tokens that enter the cross score; source: published code
_PUBLISHED_EPSILON = 1e-6  # the published wrapper ignores its own setting


@dataclass
class SparseZipState:
    """What was decided for each picture of a prompt.

    Attributes:
        counts: K of each picture.
        sample_id: Name of the prompt.
    """

    sample_id: str
    counts: list[int] = field(default_factory=list)


class _SparseZipStudy(MethodStudy):
    def reads_question(self, method: SparseZip) -> bool:
        """Only where the cross score or the likeness to it counts."""
        return bool(method.cross_beta) or method.text == "projected"

    def budget(
        self, method: SparseZip, geometry: DecoderGeometry, sample: SampleHeader
    ) -> BudgetParameter | None:
        """Return K, the dominant tokens per picture, which is then static."""
        if not method.dominant or sample.grid is None:
            return None
        tokens = max(2, sample.visual_tokens // sample.grid.frames)
        start = min(method.dominant, max(1, tokens - method.contextual))
        return BudgetParameter(
            "K",
            start,
            1,
            tokens - 1,
            rises=True,
            parameters=lambda count: {"dynamic_k": False, "dominant": int(count)},
            is_integer=True,
        )

    def further_budgets(
        self, method: SparseZip, geometry: DecoderGeometry, sample: SampleHeader
    ) -> tuple[BudgetParameter, ...]:
        """Return the tokens per picture, merged ones included in their default share: fewer than K alone allows."""
        if not method.dominant or not method.contextual or sample.grid is None:
            return ()
        most = max(2, sample.visual_tokens // sample.grid.frames - 1)
        start = min(method.dominant + method.contextual, most)
        return (
            BudgetParameter(
                "tokens per picture",
                start,
                2,
                most,
                rises=True,
                parameters=lambda tokens: self.for_tokens(method, int(tokens)),
                is_integer=True,
            ),
        )

    def for_tokens(self, method: SparseZip, tokens: int) -> dict[str, Any]:
        """Return the tokens per picture, merged ones included in their default share, and no dynamic K.

        Raises:
            ConfigError: Fewer than two: one dominant and one merged token.
        """
        if tokens < 2:
            raise ConfigError(
                f"method 'sparsezip': tokens must be a whole number from 2, one dominant and one merged, got {tokens}"
            )
        share = SparseZip.contextual / (SparseZip.dominant + SparseZip.contextual)
        merged = min(tokens - 1, max(1, round(tokens * share)))
        return {"dynamic_k": False, "dominant": tokens - merged, "contextual": merged}

    def summary(self, method: SparseZip, state: SparseZipState) -> dict[str, float]:
        """Return mean, least and largest K of the pictures: a dynamic K that never moves shows here."""
        if not state.counts:
            return {}
        mean = sum(state.counts) / len(state.counts)
        return {"k_mean": mean, "k_least": min(state.counts), "k_largest": max(state.counts)}


@dataclass(frozen=True, kw_only=True)
class SparseZip(CompressionMethod):
    """VisionZip with hybrid scores, dynamic K and clustered contextual tokens.

    Paper: none; published as code that extends VisionZip (CVPR 2025, arXiv:2412.04467).
    Deviations: k-means starts from farthest points, or from draws seeded per picture, instead of the process-wide
        generator; prompts of a batch keep their own lengths instead of zero rows; the text of the cross score
        is that after the visual tokens, with the chat template; tiles of an image are compressed, not passed
        through. ``compatible`` keeps the rest: ``dynk_eps`` is ignored, clusters beyond ``contextual`` are
        lost where ``agglomerative`` is off, and an empty cluster is a zero vector. ``strict`` uses ``dynk_eps``,
        loses no cluster and feeds no empty one. Towers without CLS, pooled tokens and positions: as VisionZip.

    Args:
        variant: Published lineage: ``s1`` (standardised terms), ``s2`` (terms in [0, 1], K from the spread,
            single-shot merging) or ``s3`` (terms in [0, 1]).
        dominant: K where it is not dynamic, CLS not counted; also widens the bounds; 0 keeps all tokens and merges
            none. Default 54.
        contextual: Merged tokens per picture. Default 16: published configuration.
        dynamic_k: Whether K follows the scores. skip_dynamic_k: Overrides it.
        k_rule: ``published``, or ``attention_mass``: fewest tokens that hold ``attention_mass`` of it.
        attention_mass: Share in (0, 1].
        k_min: Least K. k_max: Largest K.
        dynk_c: Offset of K. dynk_eps: Floor of the spread.
        alphas: Weights of attention, entropy and mutual information.
        tau_feat: Temperature over channels. tau_sim: Temperature over similarities.
        cross_beta: Weight of the question in the score.
        text: ``keys``: the published cross map of unrelated spaces; ``projected``: likeness in the language
            model's space, with ``text_share`` of the attention.
        text_share: For ``projected``. Default 0.6: published code.
        kmeans_init_factor: Initial clusters per contextual token. kmeans_iters: Lloyd rounds.
        agglomerative: Whether surplus clusters are joined.
        skip_hybrid_attn: Score by attention alone. skip_ctx_merge: Merge as VisionZip.
        merge_weights: Merge weights of tokens in a merged one; ``published``: score in s2 and s3, none in s1.
        tower_layer_offsets: Tower layers that score, relative to the one the projector takes.
        gates: Gates of these layers, before softmax; empty for equal ones.
        starts: Starts of k-means: ``farthest`` or ``seeded``. seed: For ``seeded``.
        keeps_positions: Whether kept tokens hold the positions they had, instead of counting up without gaps.
        mode: ``compatible`` or ``strict``.
    """

    study: ClassVar[MethodStudy] = _SparseZipStudy(no_effect={"dominant": 0})

    variant: Literal["s1", "s2", "s3"] = "s1"
    dominant: int = 54
    contextual: int = 16
    dynamic_k: bool = True
    skip_dynamic_k: bool = False
    k_rule: Literal["published", "attention_mass"] = "published"
    attention_mass: float = 0.5
    k_min: int = 4
    k_max: int = 64
    dynk_c: float = 8.0
    dynk_eps: float = 1e-6
    alphas: tuple[float, ...] = (1.0, 0.4, 0.6)
    tau_feat: float = 0.2
    tau_sim: float = 0.1
    cross_beta: float = 0.0
    text: Literal["keys", "projected"] = "keys"
    text_share: float = 0.6
    kmeans_init_factor: float = 2.0
    kmeans_iters: int = 10
    agglomerative: bool = True
    skip_hybrid_attn: bool = False
    skip_ctx_merge: bool = False
    merge_weights: Literal["published", "none", "score", "attention"] = "published"
    tower_layer_offsets: tuple[int, ...] = (0,)
    gates: tuple[float, ...] = ()
    starts: Literal["farthest", "seeded"] = "farthest"
    seed: int = 0
    keeps_positions: bool = False
    mode: Literal["compatible", "strict"] = "compatible"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, vector_size=1, dominant=0, contextual=0, k_min=1, kmeans_iters=0)
        if self.k_max < self.k_min:
            raise ConfigError(f"k_max must be at least k_min ({self.k_min}), got {self.k_max}")
        for name in ("tau_feat", "tau_sim", "kmeans_init_factor"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} must be above 0, got {getattr(self, name)}")
        check_shares(self, "attention_mass", "text_share")
        if len(self.alphas) != 3:
            raise ConfigError(f"alphas must be 3 weights (attention, entropy, mutual), got {self.alphas}")
        if not self.tower_layer_offsets or len(self.gates) not in (0, len(self.tower_layer_offsets)):
            raise ConfigError(
                f"gates: {len(self.gates)} gates for {len(self.tower_layer_offsets)} tower layers; expected one "
                "each, or none"
            )

    @property
    def needs(self) -> HostNeeds:
        """The tower layers that score."""
        return HostNeeds(tower_layers=self.tower_layer_offsets)

    @property
    def rules(self) -> SparseZipRules:
        """Settings of the kernels."""
        is_dynamic = self.dynamic_k and not self.skip_dynamic_k
        is_strict = self.mode == "strict"
        weighs = self.merge_weights == "score" or (
            self.merge_weights == "published" and self.variant in ("s2", "s3")
        )
        attention, entropy, mutual = self.alphas
        return SparseZipRules(
            variant=self.variant,
            weights=HybridWeights(attention, entropy, mutual, self.tau_feat, self.tau_sim),
            dominant=None if is_dynamic else self.dominant,
            dynamic=is_dynamic,
            offset=self.dynk_c,
            epsilon=self.dynk_eps if is_strict else _PUBLISHED_EPSILON,
            # Source: published wrapper; a static K is never cut by bounds meant for the dynamic one.
            k_min=min(self.k_min, self.dominant),
            k_max=max(self.k_max, self.dominant),
            contextual=self.contextual,
            by_kmeans=self.variant != "s2" and not self.skip_ctx_merge,
            kmeans=KMeansRules(self.kmeans_init_factor, self.kmeans_iters, self.agglomerative, is_strict),
            weighs_by_score=weighs,
            attention_only=self.skip_hybrid_attn,
        )

    def start(self, geometry: DecoderGeometry, layout: SampleLayout) -> SparseZipState:
        """Return a fresh state.

        Raises:
            UnsupportedError: The question is to count, but there is none.
        """
        if (self.cross_beta or self.text == "projected") and not layout.query_tokens:
            raise UnsupportedError(
                f"{layout.sample_id}: cross_beta and text=projected weigh the question, but no text follows the "
                "visual tokens; use cross_beta=0 and text=keys"
            )
        return SparseZipState(layout.sample_id)

    def compress_picture(self, picture: TowerPicture, state: SparseZipState) -> CompressedPicture | None:
        """Keep the dominant tokens of a picture and merge the rest."""
        if not self.dominant:
            return None
        rules = self.rules
        scores = self._scores(picture, rules)
        count = chosen_k(scores, rules)
        if rules.dynamic and self.k_rule == "attention_mass":
            count = attention_mass_k(picture.attention[0], self.attention_mass, rules.k_min, rules.k_max)
        state.counts.append(count)
        tokens = len(picture.places)
        if count == tokens:
            return None
        weights = picture.attention[0].mean(dim=0) if self.merge_weights == "attention" else None
        done = compress(
            picture.features,
            picture.keys[0],
            scores,
            rules,
            count=count,
            draws=self._draws(picture),
            weights=weights,
        )
        assignment = torch.full_like(picture.places, -1)
        assignment[done.remaining] = done.assignment
        merged = done.contextual
        if self.mode == "strict":
            used, assignment = _without_empty(assignment, len(merged))
            merged = merged[used]
        return CompressedPicture(done.dominant, merged, assignment, renumbers=not self.keeps_positions)

    def _scores(self, picture: TowerPicture, rules: SparseZipRules) -> Tensor:
        text = picture.text[:_MOST_TEXT]
        if self.text == "projected":
            return projected_text_score(picture.attention[0], picture.embeddings, text, self.text_share)
        cross = text_key_map(text, picture.keys[0]) if self.cross_beta else None
        gates = torch.tensor(self.gates) if self.gates else None
        return patch_scores(
            picture.attention, picture.keys, rules, gates=gates, cross=cross, beta=self.cross_beta
        )

    def _draws(self, picture: TowerPicture) -> Draws:
        # Each picture has its own draws, so its result does not depend on what ran before it.
        return FarthestPoints() if self.starts == "farthest" else SeededDraws(self.seed + picture.index)


def _without_empty(assignment: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the merged tokens that got any, and the assignment among them."""
    used = torch.bincount(assignment[assignment >= 0], minlength=count) > 0
    renamed = used.cumsum(0) - 1
    return used, torch.where(assignment >= 0, renamed[assignment.clamp(min=0)], -1)
