"""DyCoke: drop tokens that repeat earlier frames, then read in each decode step only the visual keys that matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from focal_algorithm.kernels.dycoke import (
    SAME_ATTENTION,
    attention_cosine,
    kept_per_frame,
    keys_to_read,
    merged_frames,
)
from focal_algorithm.kernels.framefusion import last_query_attention
from focal_algorithm.methods.base import (
    AttentionOperands,
    CompressionMethod,
    DecodeNotes,
    Resequenced,
    TokenStream,
    check_least,
    check_shares,
)
from focal_algorithm.methods.selector import check_layer, refuse_nan
from focal_algorithm.methods.study import BudgetParameter, MethodStudy
from focal_algorithm.methods.video import VideoFrames
from focal_algorithm.prompts.layout import SampleLayout
from focal_common.errors import UnsupportedError
from focal_traces.header.schema import DecoderGeometry, SampleHeader

_FEWEST_FRAMES = 5
"""Below which published code fails: its second rule then finds nothing to stack."""


class _DyCokeStudy(MethodStudy):
    def run_notes(self, method: DyCoke, device: torch.device) -> tuple[str, ...]:
        """Say what a trace leaves out."""
        left_out = (
            "a trace holds the prefill: of what decode steps leave unread, simulations of decode read all"
        )
        return (left_out,) if method.pruning_rate else ()

    def reads_question(self, method: DyCoke) -> bool:
        """Return whether decode steps, to which a question after a shared prefill belongs, read fewer keys."""
        return method.pruning_rate > 0

    def budget(self, method: DyCoke, geometry: DecoderGeometry, sample: SampleHeader) -> BudgetParameter:
        """Return the share of reduced frames that goes."""
        return BudgetParameter(
            "merging_ratio",
            method.merging_ratio,
            0.0,
            1.0,
            rises=False,
            parameters=lambda ratio: {"merging_ratio": ratio},
        )


@dataclass(frozen=True, kw_only=True)
class DyCoke(CompressionMethod):
    """Frames reduced to what the frame before lacks; in decode the cache stays whole, and fewer of its keys are read.

    Paper: DyCoke, Tao et al., CVPR 2025, arXiv:2411.15024, as its released code has it: despite the name nothing is
        merged, and the cache is never shortened in decode.
    Deviations: every prompt starts its decode state anew, and the visual tokens of the decode stage are those of the
        prompt, wherever it begins; tokens of a later turn are decode tokens too. Frames with marks behind their rows,
        which released code passes over, are reduced in order, with the marks of rows that hold a token. ``compatible``
        refuses fewer than five frames, at which released code fails. ``strict`` treats every group of four frames
        alike, keeps an odd last frame, keeps raster order, computes in float32, counts the last visual token, and goes
        on with its selection while attention stays the same, where released code then reads everything.

    Args:
        merging_ratio: K, share of a reduced frame that goes, in [0, 1]. Default 0.7; published 0.3, 0.5, 0.7.
        layer: l, at least 1: decoder layer from which decode steps read fewer keys, by the attention of the layer
            before. Default 3.
        pruning_rate: p, share of the visual keys that a decode step leaves out, in [0, 1]. Default 0.7: paper; 0 for
            none.
        mode: ``compatible`` or ``strict``.
    """

    study: ClassVar[MethodStudy] = _DyCokeStudy(
        no_effect={"merging_ratio": 0.0, "pruning_rate": 0.0, "mode": "strict"}
    )

    merging_ratio: float = 0.7
    layer: int = 3
    pruning_rate: float = 0.7
    mode: Literal["compatible", "strict"] = "compatible"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, layer=1)
        check_shares(self, "merging_ratio", "pruning_rate", from_zero=True)

    def start(self, geometry: DecoderGeometry, layout: SampleLayout) -> None:
        """Check that the prompt shows a video that the rules fit.

        Raises:
            UnsupportedError: It shows no video of at least two frames, or too few for published code.
            ConfigError: The layer does not exist.
        """
        video = VideoFrames.of(layout, "DyCoke")
        check_layer(geometry, self.layer, "layer: DyCoke reads fewer keys from")
        if self.mode == "compatible" and video.frames < _FEWEST_FRAMES:
            raise UnsupportedError(
                f"{layout.sample_id}: DyCoke as published fails on a video of {video.frames} frames; expected at least "
                f"{_FEWEST_FRAMES}, or mode=strict"
            )

    def before_layer(self, layer: int, hidden: Tensor, stream: TokenStream, state: Any) -> Resequenced | None:
        """Reduce frames, before the first layer."""
        if layer:
            return None
        video, is_strict = VideoFrames.of(stream.layout, "DyCoke", hidden.device), self.mode == "strict"
        if is_strict and kept_per_frame(video.tokens, self.merging_ratio) >= video.tokens:
            return None
        values = video.values(hidden, stream)
        refuse_nan(values.sum(dim=-1).flatten(), layer, self.name)
        frames = merged_frames(values, self.merging_ratio, is_strict=is_strict)
        kept = torch.cat([number * video.tokens + places for number, places in enumerate(frames)])
        return Resequenced(video.remaining(stream, kept), renumbers=True)

    def choose_keys(
        self, layer: int, operands: AttentionOperands, stream: TokenStream, notes: DecodeNotes
    ) -> Tensor | None:
        """Choose by the attention of the layer before ``layer``; from there on read what was chosen."""
        if not self.pruning_rate or layer < self.layer - 1:
            return None
        if layer == self.layer - 1:
            notes.choice = self._choose(layer, operands, stream, notes)
            return None
        choice: Tensor | None = notes.choice
        return choice

    def _choose(
        self, layer: int, operands: AttentionOperands, stream: TokenStream, notes: DecodeNotes
    ) -> Tensor | None:
        """Return the keys that each token reads, axes (new tokens, tokens), bool; None for all.

        What is noted of a token is its attention to the visual tokens and which of them it reads.
        """
        visual = VideoFrames.of(stream.layout, "DyCoke", stream.token_ids.device).present(stream)
        if self.mode == "compatible":
            visual = visual[:-1]  # the last visual token counts as text, as released code has it
        new, held, count = operands.query.shape[1], operands.key.shape[1], len(visual)
        before = None if notes.earlier is None else notes.earlier[-1, : 2 * count].view(2, count)
        is_open = torch.ones(new, held, dtype=torch.bool, device=visual.device)
        written = []
        for number in range(new):
            end = held - new + number + 1
            attention = last_query_attention(
                operands.query[:, number : number + 1],
                operands.key[:, :end],
                scaling=operands.scaling,
                rows=visual,
            ).to(torch.float32)
            refuse_nan(attention, layer, self.name)
            reads = self.reads(attention, before)
            is_open[number, visual] = reads
            before = torch.stack((attention, reads.to(attention.dtype)))
            written.append(before.flatten())
        notes.new = torch.stack(written)
        return None if bool(is_open.all()) else is_open

    def reads(self, attention: Tensor, before: Tensor | None) -> Tensor:
        """Return which visual keys a step reads, axes (visual tokens), bool.

        Args:
            attention: Of the new token, mean over heads, axes (visual tokens), float32.
            before: Attention of the step before and what it read, axes (2, visual tokens); None at the first.
        """
        if before is not None and attention_cosine(attention, before[0]) >= SAME_ATTENTION:
            return (
                torch.ones_like(attention, dtype=torch.bool) if self.mode == "compatible" else before[1] > 0
            )
        reads = torch.zeros_like(attention, dtype=torch.bool)
        reads[keys_to_read(attention, self.pruning_rate)] = True
        return reads
