"""VisionZip: keep the tokens the vision tower attends to, merge the rest, before the language model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch

from focal_algorithm.kernels.hybrid_scores import EPSILON, projected_text_score
from focal_algorithm.kernels.visionzip import (
    PUBLISHED_TOKENS,
    merge_into_targets,
    scaled_budget,
    select_dominant,
    split_tokens,
)
from focal_algorithm.methods.base import CompressionMethod, check_least, check_shares
from focal_algorithm.methods.study import BudgetParameter, MethodStudy
from focal_algorithm.prompts.layout import SampleLayout
from focal_algorithm.prompts.pictures import CompressedPicture, TowerPicture
from focal_common.errors import UnsupportedError
from focal_traces.header.schema import DecoderGeometry, SampleHeader


class _VisionZipStudy(MethodStudy):
    def fitted(self, geometry: DecoderGeometry) -> dict[str, Any]:
        """Return counts in their published share of each picture: 64 of 576, whatever the decoder."""
        return {"scale_by_tokens": True}

    def reads_question(self, method: VisionZip) -> bool:
        """Only where the likeness to it counts."""
        return method.text_share < 1

    def budget(
        self, method: VisionZip, geometry: DecoderGeometry, sample: SampleHeader
    ) -> BudgetParameter | None:
        """Return the tokens per picture, dominant and contextual in the proportion in force."""
        if not method.dominant or sample.grid is None:
            return None
        most = sample.visual_tokens // sample.grid.frames
        start = min(sum(method._budget(most, 0)), most)
        return BudgetParameter(
            "tokens per picture",
            start,
            1,
            most,
            rises=True,
            parameters=lambda tokens: self.for_tokens(method, int(tokens)),
            is_integer=True,
        )

    def for_tokens(self, method: VisionZip, tokens: int) -> dict[str, Any]:
        """Return the tokens per picture in the proportion in force; 192, 128 and 64 give the published settings."""
        dominant = max(1, round(tokens * method.dominant / (method.dominant + method.contextual)))
        return {"dominant": dominant, "contextual": tokens - dominant, "scale_by_tokens": False}

    def for_share(self, method: VisionZip, share: float) -> dict[str, Any]:
        """Return so many of the 576 tokens for which counts were published, scaled to each picture."""
        return self.for_tokens(method, max(1, round(share * PUBLISHED_TOKENS))) | {"scale_by_tokens": True}


@dataclass(frozen=True, kw_only=True)
class VisionZip(CompressionMethod):
    """Dominant and contextual tokens of each picture, chosen without the question.

    Paper: VisionZip, CVPR 2025 (arXiv:2412.04467), sec. 3.2 (dominant), 3.3 (contextual).
    Deviations: ``compatible`` follows the published code: a contextual token is its target plus the mean of the
        others, about twice the norm of a token, and equal scores go to the lower index. Without a CLS token
        the score is the mean attention received, as the paper says and its code lacks. Where a model pools
        patches into tokens, scores and keys are pooled alike and merging is done on the tokens. Positions count
        up without gaps, except where they have several axes: tokens then keep theirs. ``strict`` averages the
        whole group and gives all-zero keys no similarity instead of refusing them.

    Args:
        dominant: Tokens kept per picture, CLS included where the tower has one; 0 keeps all and merges none.
            Default 54 of 64: published code.
        contextual: Merged tokens per picture, at least 0. Default 10: published code.
        scale_by_tokens: Scale both by the picture's tokens over 576, for which they were published; set where neither
            is given (`fitted`).
        text_share: Weight of the attention in the score, in (0, 1]; below 1 the rest is the likeness of the
            projected token to the question (a form published with SparseZip, there 0.6).
        keeps_positions: Whether kept tokens hold the positions they had, instead of counting up without gaps.
        mode: ``compatible`` or ``strict``.
    """

    study: ClassVar[MethodStudy] = _VisionZipStudy(
        no_effect={"dominant": 0}, budget_fields=frozenset({"dominant", "contextual", "scale_by_tokens"})
    )

    dominant: int = 54
    contextual: int = 10
    scale_by_tokens: bool = False
    text_share: float = 1.0
    keeps_positions: bool = False
    mode: Literal["compatible", "strict"] = "compatible"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, vector_size=1, dominant=0, contextual=0)
        check_shares(self, "text_share")

    def start(self, geometry: DecoderGeometry, layout: SampleLayout) -> None:
        """Return no state.

        Raises:
            UnsupportedError: The question is to count, but there is none.
        """
        if self.text_share < 1 and not layout.query_tokens:
            raise UnsupportedError(
                f"{layout.sample_id}: text_share below 1 weighs the question, but no text follows the visual "
                "tokens; use text_share=1"
            )

    def compress_picture(self, picture: TowerPicture, state: Any) -> CompressedPicture | None:
        """Keep the dominant tokens of a picture and merge the rest."""
        tokens = len(picture.places)
        budget, contextual = self._budget(tokens, len(picture.prefix))
        count = budget - len(picture.prefix)
        if not self.dominant or count == tokens:
            return None
        scores = picture.attention[0].sum(dim=0)
        if self.text_share < 1:
            scores = projected_text_score(
                picture.attention[0], picture.embeddings, picture.text, self.text_share
            )
        dominant, remaining = split_tokens(select_dominant(scores, count), tokens)
        is_strict = self.mode == "strict"
        done = merge_into_targets(
            picture.features[remaining],
            picture.keys[0, remaining],
            contextual,
            merge="mean" if is_strict else "sum",
            epsilon=EPSILON if is_strict else 0.0,
        )
        assignment = torch.full_like(picture.places, -1)
        assignment[remaining] = done.assignment
        return CompressedPicture(
            dominant,
            done.features,
            assignment,
            remaining[done.targets],
            renumbers=not self.keeps_positions,
        )

    def _budget(self, tokens: int, prefix: int) -> tuple[int, int]:
        """Return dominant (CLS included) and contextual tokens of a picture."""
        if not self.scale_by_tokens or not self.dominant:
            return self.dominant, self.contextual
        return scaled_budget(self.dominant, self.contextual, tokens, prefix)
