"""LLaVA-PruMerge: keep the tokens to which CLS attends far more than to others, enriched by those like them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from focal_algorithm.kernels.enrichment import cls_scores, enriched, outlier_share
from focal_algorithm.kernels.ordering import top_indices
from focal_algorithm.methods.base import CompressionMethod, HostNeeds, check_least, check_shares
from focal_algorithm.methods.selector import share_of_picture
from focal_algorithm.methods.study import BudgetParameter, MethodStudy
from focal_algorithm.prompts.layout import SampleLayout
from focal_algorithm.prompts.pictures import CompressedPicture, TowerPicture
from focal_common.errors import ConfigError
from focal_traces.header.schema import DecoderGeometry, SampleHeader


class PruMergeStudy(MethodStudy):
    """Budgets of both forms."""

    def for_tokens(self, method: type[PruMerge], tokens: int) -> dict[str, Any]:
        """Return the fixed form with exactly so many tokens, the one for all the rest included."""
        if tokens < 2:
            raise ConfigError(
                f"method '{method.name}': tokens must be a whole number from 2, a token and one for all the rest, got "
                f"{tokens}"
            )
        return {"is_adaptive": False, "keep_tokens": tokens}

    def for_share(self, method: type[PruMerge], share: float) -> dict[str, Any]:
        """Return the fixed form with such a share of outliers."""
        return {"is_adaptive": False, "ratio": share}

    def budget(
        self, method: PruMerge, geometry: DecoderGeometry, sample: SampleHeader
    ) -> BudgetParameter | None:
        """Return the tokens of a picture, the one for all the rest included."""
        most = sample.visual_tokens
        if most < 2:
            return None
        start = method.keep_tokens or int(most * method.ratio) + 1
        return BudgetParameter(
            "keep_tokens",
            min(max(start, 2), most),
            2,
            most,
            rises=True,
            parameters=lambda tokens: self.for_tokens(type(method), int(tokens)),
            is_integer=True,
        )


@dataclass(frozen=True, kw_only=True)
class PruMerge(CompressionMethod):
    """Outliers of the attention of CLS, each plus the 32 tokens of most similar key, and one token for all the rest.

    Paper: LLaVA-PruMerge, Shang et al., ICCV 2025, arXiv:2403.15388; without training.
    Deviations: each image has its own share of outliers, where the released code takes one over a batch; fewer than 32
        other tokens are all taken, where it fails; no zero vector stands for a rest that is empty; equal scores go to
        the lower index. ``compatible`` follows the rest of the code: weights are not normalised, tokens come in order
        of score and the one for the rest last, and an image without an outlier becomes one token. ``strict`` takes at
        least one outlier. Positions count up without gaps, except where they have several axes. For towers without a
        CLS token nothing is published: there the score is the mean attention received and likeness that of head-mean
        keys, pooled as tokens are, and each frame is a picture.

    Args:
        is_adaptive: Whether the number of tokens follows from the outliers; otherwise from ``ratio``. Default: yes,
            as published.
        ratio: Share of the tokens that stand for outliers where it does not follow from them, in (0, 1]; rounded
            down; 1 changes nothing. Default 1/8: published code.
        keep_tokens: Tokens of the prompt where it does not follow from them, the one for the rest included, whatever
            the ratio; 0 to follow ``ratio``. Ours.
        neighbours: Tokens that enrich each outlier, at least 0. Default 32: published code.
        order: ``score``, as published, or ``raster``.
        is_normalised: Whether sums are divided by their weights. Default no: published models were tuned without.
        mode: ``compatible`` or ``strict``.
    """

    study: ClassVar[MethodStudy] = PruMergeStudy(
        no_effect={"is_adaptive": False, "ratio": 1.0},
        budget_fields=frozenset({"is_adaptive", "ratio", "keep_tokens"}),
        ignores_question=True,
    )

    is_adaptive: bool = True
    ratio: float = 1 / 8
    keep_tokens: int = 0
    neighbours: int = 32
    order: Literal["score", "raster"] = "score"
    is_normalised: bool = False
    mode: Literal["compatible", "strict"] = "compatible"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, keep_tokens=0, neighbours=0)
        check_shares(self, "ratio")

    @property
    def needs(self) -> HostNeeds:
        """The tower's last layer, which in LLaVA is the one behind that which the projector reads."""
        return HostNeeds(tower_layers=None, cls_operands=True)

    def start(self, geometry: DecoderGeometry, layout: SampleLayout) -> tuple[int, int]:
        """Return the tokens to make of an image or video, 0 if none are given, and how many it has.

        Raises:
            ConfigError: The prompt does not have so many.
        """
        own = share_of_picture(self.keep_tokens, layout, f"{self.name}, keep_tokens")
        return own, layout.visual_tokens

    def compress_picture(self, picture: TowerPicture, state: tuple[int, int]) -> CompressedPicture | None:
        """Make tokens of the features before the projector, or of input embeddings where the model pools patches."""
        tokens, asked = len(picture.places), self._share(picture, *state)
        if not self.is_adaptive and tokens in (asked, int(tokens * self.ratio)):
            return None
        if picture.cls_query is None or picture.cls_keys is None:
            scores, keys = picture.attention[0].mean(dim=0), picture.keys[0]
        else:
            scores, keys = cls_scores(picture.cls_query[0], picture.cls_keys[0]), picture.cls_keys[0, 1:]
        chosen, rest, made = self.merge(picture.features, keys, scores, asked)
        assignment = torch.full_like(picture.places, -1)
        assignment[rest] = len(chosen)
        last = torch.arange(len(chosen), device=chosen.device).flip(0)
        assignment[chosen.flip(0)] = last  # of a token that occurs twice, the first is where it stands
        stands_at = torch.cat((chosen, rest[:1]))
        made = made[: len(stands_at)]  # nothing stands for a rest that is empty
        return CompressedPicture(chosen[:0], made, assignment, stands_at, keeps_prefix=False, renumbers=True)

    def _share(self, picture: TowerPicture, asked: int, visual_tokens: int) -> int:
        """Return the tokens to make of one frame or tile: its part of those of its video or image; 0 if not given."""
        if not asked:
            return 0
        start, stop = int(picture.places[0]), int(picture.places[0]) + len(picture.places)
        own = asked * stop // visual_tokens - asked * start // visual_tokens
        if own < 2:
            raise ConfigError(
                f"{self.name}, keep_tokens: {asked} tokens of {visual_tokens} leave {own} to a picture of "
                f"{len(picture.places)}; expected at least two, one of them for all the rest"
            )
        return own

    def merge(
        self, features: Tensor, keys: Tensor, scores: Tensor, keep_tokens: int = 0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return chosen tokens in their order, the rest ascending, and the tokens made of them.

        Args:
            features: Axes (tokens, width).
            keys: Axes (tokens, key width).
            scores: Attention of CLS, axes (tokens).
            keep_tokens: How many to make; 0 to follow outliers or ratio.
        """
        chosen = self.chosen(scores, keep_tokens)
        if self.order == "raster":
            chosen = chosen.sort().values
        is_rest = torch.ones_like(scores, dtype=torch.bool)
        is_rest[chosen] = False
        rest = is_rest.nonzero().flatten()
        # Published: the rest is what sorting leaves behind as many places as there are chosen tokens.
        rest = rest[len(chosen) - (len(scores) - len(rest)) :]
        made = enriched(
            features, keys, scores, chosen, rest, self.neighbours, is_normalised=self.is_normalised
        )
        return chosen, rest, made

    def chosen(self, scores: Tensor, keep_tokens: int) -> Tensor:
        """Return the tokens to enrich, by falling score, int64; arguments as of `merge`."""
        return top_indices(scores, keep_tokens - 1 if keep_tokens else self.outliers(scores)[0])

    def outliers(self, scores: Tensor) -> tuple[int, float]:
        """Return how many outliers are taken of a picture, and what share of its tokens that stands for."""
        tokens = scores.shape[-1]
        share = outlier_share(scores) if self.is_adaptive else self.ratio
        count = int(tokens * share)
        if self.mode == "strict" and not count:
            return 1, 1 / tokens
        return count, share
