"""HoliTom: merge what a video leaves still, keep the attended rest, and merge once more inside the decoder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from focal_algorithm.kernels import holitom as kernel
from focal_algorithm.methods.base import (
    AttentionOperands,
    CompressionMethod,
    Resequenced,
    TokenStream,
    check_least,
    check_shares,
)
from focal_algorithm.methods.selector import attention_of_last, check_layer, refuse_nan
from focal_algorithm.methods.study import MethodStudy
from focal_algorithm.methods.video import VideoFrames
from focal_algorithm.prompts.layout import SampleLayout
from focal_algorithm.prompts.pictures import TowerPicture
from focal_common.errors import ConfigError
from focal_traces.header.schema import DecoderGeometry


@dataclass
class HoliTomState:
    """What HoliTom remembers of a prompt.

    Attributes:
        saliency: Attention received in the tower by the tokens of each frame, axes (N) each.
        scores: Attention of the prompt's last token to each token of ``inner``, axes (tokens); None before the layer.
        inner: Rows of the visual tokens that the decoder merges, axes (tokens), int64.
    """

    saliency: list[Tensor] = field(default_factory=list)
    scores: Tensor | None = None
    inner: Tensor | None = None


class _HoliTomStudy(MethodStudy):
    def published(self, model: str, dataset: str) -> dict[str, Any]:
        """Return the settings of the published runs without the inner stage, for the video models they were run on."""
        if dataset not in ("videomme", "mvbench"):
            return {}
        return {
            "llava_onevision": {"retain_ratio": 0.1, "threshold": 0.65},
            "llava_video": {"retain_ratio": 0.15},
        }.get(model, {})

    def reads_question(self, method: HoliTom) -> bool:
        """Return whether the inner stage, which ranks by the last token's attention, is on."""
        return method.inner_layer > 0


@dataclass(frozen=True, kw_only=True)
class HoliTom(CompressionMethod):
    """Static windows merged over time, then attention and clusters in space, then merging in one decoder layer.

    Paper: HoliTom, Shao et al., NeurIPS 2025, arXiv:2505.21334, as its released code has it.
    Deviations: no noise is added to densities. Each video of a prompt is on its own. The layer that gives the inner
        stage its attention stays causal. Context tokens, at which released code fails, are made as it means to.
        Newlines as
        released: one behind each row that holds a token, where the family has them. ``strict`` keeps at least one
        token of a window's static places, compares frames in float32, and lets a token kept by the inner stage become
        the mean of its group, where released code halves again and again.

    Args:
        retain_ratio: r, share of the video kept before the decoder, in (0, 1]; approximately, as counts are rounded
            frame by frame. Default 0.1.
        threshold: tau, cosine above which two tokens are alike. Default 0.8; 0.65 for LLaVA-OneVision at 0.1.
        merged_share: D, share of the kept tokens of moving places that are means, in [0, 1]. Default 0: published.
        neighbours: K, distances that a density is the mean of. Default 7.
        centre_weight: beta, weight of a centre in the mean with its cluster, in [0, 1]. Default 0.6.
        plain_mean: Whether a cluster becomes its plain mean instead.
        longest_window: Most frames of a window. Default 1024.
        inner_layer: k, decoder layer before which visual tokens merge once more; 0 for none. Published: 18 of 28.
        inner_ratio: Share of the visual tokens that the inner stage merges away, in [0, 1). Published: 0.5.
        mode: ``compatible`` or ``strict``.
    """

    study: ClassVar[MethodStudy] = _HoliTomStudy(
        keep="retain_ratio", no_effect={"retain_ratio": 1.0, "threshold": 2.0}
    )

    retain_ratio: float = 0.1
    threshold: float = 0.8
    merged_share: float = 0.0
    neighbours: int = 7
    centre_weight: float = 0.6
    plain_mean: bool = False
    longest_window: int = 1024
    inner_layer: int = 0
    inner_ratio: float = 0.5
    mode: Literal["compatible", "strict"] = "compatible"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shares(self, "retain_ratio")
        check_least(self, neighbours=1, longest_window=1, inner_layer=0)
        check_shares(self, "merged_share", "centre_weight", from_zero=True)
        if not 0 <= self.inner_ratio < 1:
            raise ConfigError(f"inner_ratio must lie in [0, 1), got {self.inner_ratio}")

    def rule(self, effective_ratio: float) -> kernel.Rule:
        """Return what to keep of a window where time has left a share r'."""
        return kernel.Rule(
            effective_ratio=effective_ratio,
            merged_share=self.merged_share,
            neighbours=self.neighbours,
            centre_weight=None if self.plain_mean else self.centre_weight,
            is_strict=self.mode == "strict",
        )

    def start(self, geometry: DecoderGeometry, layout: SampleLayout) -> HoliTomState:
        """Return a fresh state.

        Raises:
            UnsupportedError: The prompt shows no video of at least two frames.
            ConfigError: The inner layer does not exist, or less than one token is to stay.
        """
        video = VideoFrames.of(layout, "HoliTom")
        tokens = video.frames * video.tokens
        check_layer(geometry, self.inner_layer, "inner_layer: HoliTom merges before")
        if self.retain_ratio * tokens < 1:
            raise ConfigError(
                f"{layout.sample_id}: holitom, retain_ratio: {self.retain_ratio:g} of {tokens} tokens is below one "
                f"token; expected at least {1 / tokens:.2g}"
            )
        return HoliTomState()

    def compress_picture(self, picture: TowerPicture, state: HoliTomState) -> None:
        """Note the attention that the tokens of a frame receive; it stays as it is until all are known."""
        state.saliency.append(picture.attention[0].mean(dim=0))

    def see_attention(
        self, layer: int, operands: AttentionOperands, stream: TokenStream, state: HoliTomState
    ) -> None:
        """Compute one row of attention: that of the prompt's last token, in the layer before the inner stage."""
        if layer != self.inner_layer - 1 or not self.inner_ratio:
            return
        video = VideoFrames.of(stream.layout, "HoliTom", stream.token_ids.device)
        state.inner = video.present(stream)
        state.scores = attention_of_last(operands, state.inner, stream.rows_of_prompt, layer, self.name)

    def before_layer(
        self, layer: int, hidden: Tensor, stream: TokenStream, state: HoliTomState
    ) -> Resequenced | None:
        """Merge the video before the decoder, and once more before the inner layer."""
        if not layer:
            return self._outer(hidden, stream, state)
        if layer != self.inner_layer or state.scores is None or state.inner is None:
            return None
        scores, rows = state.scores, state.inner
        state.scores = state.inner = None
        count = max(1, round(len(rows) * (1 - self.inner_ratio)))
        if count >= len(rows):
            return None
        found = kernel.merge_unattended(hidden[rows], scores, count, is_strict=self.mode == "strict")
        every = torch.arange(len(hidden), device=hidden.device)
        merged_into = every.index_copy(0, rows, rows[found.kept][found.merged_into])
        kept = (merged_into == every).nonzero().flatten()
        new = hidden.index_copy(0, rows[found.kept], found.values)
        sizes = found.merged_into.bincount(minlength=count)
        made_of = torch.full_like(every, -1).index_copy(
            0, rows[found.kept], sizes.masked_fill(sizes == 1, -1)
        )
        return Resequenced(kept, new[kept], merged_into, made_of)

    def _outer(self, hidden: Tensor, stream: TokenStream, state: HoliTomState) -> Resequenced | None:
        video = VideoFrames.of(stream.layout, "HoliTom", hidden.device)
        values = video.values(hidden, stream)
        refuse_nan(values.sum(dim=-1).flatten(), 0, self.name)
        likeness = kernel.place_likeness(values, is_strict=self.mode == "strict")
        windows = kernel.static_windows(likeness, self.threshold, self.longest_window)
        ratio = kernel.effective_ratio(self.retain_ratio, video.frames, video.tokens, windows.reduced)
        saliency = torch.stack(state.saliency).to(hidden.device)
        found = kernel.merge_windows(values, saliency, likeness, self.threshold, windows, self.rule(ratio))
        return video.merged(hidden, stream, found, renumbers=True)
