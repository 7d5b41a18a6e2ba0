"""FastVID: before the language model, keep salient tokens of a video and merge the others into dense anchors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from focal_algorithm.kernels import fastvid as kernel
from focal_algorithm.methods.base import (
    CompressionMethod,
    HostNeeds,
    Resequenced,
    TokenStream,
    check_least,
    check_shares,
)
from focal_algorithm.methods.selector import refuse_nan
from focal_algorithm.methods.study import MethodStudy
from focal_algorithm.methods.video import VideoFrames
from focal_algorithm.prompts.layout import SampleLayout
from focal_algorithm.prompts.pictures import TowerPicture
from focal_common.errors import ConfigError
from focal_traces.header.schema import DecoderGeometry


@dataclass
class FastVidState:
    """Saliency of the tokens of each frame, axes (N) each, in the order of the frames."""

    saliency: list[Tensor] = field(default_factory=list)


class _FastVidStudy(MethodStudy):
    def published(self, model: str, dataset: str) -> dict[str, Any]:
        """Return the settings of the released variants, for the video models they were run on."""
        if dataset not in ("videomme", "mvbench"):
            return {}
        settings: dict[str, dict[str, Any]] = {
            "llava_onevision": {"variant": "parallel"},
            "llava_video": {"variant": "shared"},
            "qwen2_5_vl": {"variant": "sampled", "retain_ratio": 0.27, "segment_threshold": 0.84},
        }
        return settings.get(model, {})


@dataclass(frozen=True, kw_only=True)
class FastVid(CompressionMethod):
    """Dynamic density pruning: segments of alike frames, salient tokens, and means around density peaks.

    Paper: FastVID, Shen et al., NeurIPS 2025, arXiv:2503.11187, in the three forms of its released code.
    Deviations: no noise is added to densities. LLaVA checkpoints lack the pooling head of SigLIP that released code
        loads beside them; saliency is the attention of a frame's mean query in the layer before the projector, and the
        feature of a frame the mean of its tokens, which is what the form for Qwen2.5-VL has. A ratio of 1 changes
        nothing. A mark that ends a row stays where a token of its row does. ``compatible`` refuses in a sentence what
        released code fails at; ``strict`` takes as many segments as there are frames at most, deals out every token,
        caps counts at the tokens there are, and computes cosines in float32, a zero vector being like nothing.

    Args:
        variant: ``parallel`` (LLaVA-OneVision): every frame keeps as many. ``shared`` (LLaVA-Video): the tokens of a
            segment are dealt out. ``sampled`` (Qwen2.5-VL): likewise, to one of each run of alike frames.
        retain_ratio: r, share of each frame kept, in (0, 1]. Default 0.1: published; so are 0.15, 0.2, 0.25, and 0.27.
        segments: c, least number of segments. Default 8.
        segment_threshold: tau, likeness of frames below which a segment ends. Default 0.9; 0.84 for ``sampled``.
        merged_share: d, share of the kept tokens that are means, in [0, 1]. Default 0.4.
        anchor_step: p, distance of the frames of a segment that hold means. Default 4.
        anchor_weight: beta, least weight of an anchor in its mean, in [0, 1]. Default 0.6.
        same_frame: For ``sampled``: likeness of frames below which a new run begins. Default 0.95.
        mode: ``compatible`` or ``strict``.
    """

    study: ClassVar[MethodStudy] = _FastVidStudy(keep="retain_ratio", ignores_question=True)

    variant: Literal["parallel", "shared", "sampled"] = "parallel"
    retain_ratio: float = 0.1
    segments: int = 8
    segment_threshold: float = 0.9
    merged_share: float = 0.4
    anchor_step: int = 4
    anchor_weight: float = 0.6
    same_frame: float = 0.95
    mode: Literal["compatible", "strict"] = "compatible"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shares(self, "retain_ratio")
        check_least(self, segments=1, anchor_step=1)
        check_shares(self, "merged_share", "anchor_weight", from_zero=True)

    @property
    def needs(self) -> HostNeeds:
        """Attention of a frame's mean query."""
        return HostNeeds(tower_attention="of_mean_query")

    @property
    def rule(self) -> kernel.Rule:
        """How the budget is shared."""
        return kernel.Rule(
            variant=self.variant,
            retain_ratio=self.retain_ratio,
            merged_share=self.merged_share,
            anchor_step=self.anchor_step,
            anchor_weight=self.anchor_weight,
            same_frame=self.same_frame,
            is_strict=self.mode == "strict",
        )

    def start(self, geometry: DecoderGeometry, layout: SampleLayout) -> FastVidState:
        """Return a fresh state.

        Raises:
            UnsupportedError: The prompt shows no video of at least two frames.
            ConfigError: Less than one token of a frame is to stay.
        """
        video = VideoFrames.of(layout, "FastVID")
        if not self.rule.per_frame(video.tokens):
            raise ConfigError(
                f"{layout.sample_id}: fastvid, retain_ratio: {self.retain_ratio:g} of a frame of {video.tokens} tokens "
                f"is below one token; expected at least {1 / video.tokens:.2g}"
            )
        return FastVidState()

    def compress_picture(self, picture: TowerPicture, state: FastVidState) -> None:
        """Note the saliency of a frame; it stays as it is until all are known."""
        state.saliency.append(picture.attention[0].mean(dim=0))

    def before_layer(
        self, layer: int, hidden: Tensor, stream: TokenStream, state: FastVidState
    ) -> Resequenced | None:
        """Keep salient tokens and merge the others."""
        if layer or self.retain_ratio == 1:
            return None
        return self.merged(hidden, stream, torch.stack(state.saliency).to(hidden.device))

    def merged(
        self, hidden: Tensor, stream: TokenStream, saliency: Tensor, features: Tensor | None = None
    ) -> Resequenced | None:
        """Keep salient tokens and merge the others.

        Args:
            hidden: Input embeddings, axes (tokens, hidden).
            stream: Tokens present.
            saliency: Of the tokens of each frame, axes (F, N).
            features: Of each frame, axes (F, width); the mean of its tokens if None.
        """
        video = VideoFrames.of(stream.layout, "FastVID", hidden.device)
        values = video.values(hidden, stream)
        refuse_nan(values.sum(dim=-1).flatten(), 0, self.name)
        rule = self.rule
        likeness = kernel.frame_likeness(
            values.mean(dim=1) if features is None else features, is_strict=rule.is_strict
        )
        sizes = kernel.segment_sizes(
            likeness,
            self.segments,
            self.segment_threshold,
            variant=rule.variant,
            is_strict=rule.is_strict,
        )
        found = kernel.merge_video(values, saliency, likeness, sizes, rule)
        return video.merged(hidden, stream, found, renumbers=False)
