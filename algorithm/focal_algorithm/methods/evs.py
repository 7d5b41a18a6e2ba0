"""EVS: before the language model, drop the video tokens that changed least since the frame before."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from focal_algorithm.kernels.evs import frame_differences, retained_count
from focal_algorithm.kernels.ordering import select_top
from focal_algorithm.methods.base import CompressionMethod, Resequenced, TokenStream, check_least
from focal_algorithm.methods.selector import refuse_nan
from focal_algorithm.methods.study import BudgetParameter, MethodStudy
from focal_algorithm.methods.video import VideoFrames
from focal_algorithm.prompts.layout import SampleLayout
from focal_common.errors import ConfigError
from focal_traces.header.schema import DecoderGeometry, SampleHeader


class _EvsStudy(MethodStudy):
    def budget(self, method: Evs, geometry: DecoderGeometry, sample: SampleHeader) -> BudgetParameter:
        """Return the pruning rate."""
        return BudgetParameter(
            "pruning_rate",
            method.pruning_rate,
            0.0,
            1 - 1e-3,
            rises=False,
            parameters=lambda rate: {"pruning_rate": rate, "keep_tokens": 0},
        )


@dataclass(frozen=True, kw_only=True)
class Evs(CompressionMethod):
    """Efficient video sampling, the video pruning of vLLM: one budget for the video, the first frame always whole.

    Paper: EVS, Bagrov et al., NVIDIA 2025, arXiv:2510.14624; as vLLM's code has it (cosine of embeddings, exact
        counts), not the paper's differences of pixels.
    Deviations: single pictures, which serving engines leave alone under this method, are refused, and so are numbers
        that are none. A mark that ends a row stays where a token of its row does. Positions of several axes stay as
        the model has them, which in vLLM differs for frames higher than wide: there text goes on behind the width of a
        frame, here behind its longer side. ``compatible`` computes in the model's dtype, in half precision of which
        hundreds of tokens tie and earlier ones stay, and counts positions of one axis anew. ``strict`` computes in
        float32, calls tokens of one direction equal, and leaves every position as it was.

    Args:
        pruning_rate: q, share of the video's tokens removed, in [0, 1). Default 0.7: Nemotron Nano 12B v2 VL.
        keep_tokens: Tokens of the video that stay, whatever the rate, from those of a frame up to all; 0 to follow
            ``pruning_rate``.
        mode: ``compatible`` or ``strict``.
    """

    study: ClassVar[MethodStudy] = _EvsStudy(
        no_effect={"pruning_rate": 0.0},
        budget_fields=frozenset({"pruning_rate", "keep_tokens"}),
        ignores_question=True,
        drop="pruning_rate",
    )

    pruning_rate: float = 0.7
    keep_tokens: int = 0
    mode: Literal["compatible", "strict"] = "compatible"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.pruning_rate < 1:
            raise ConfigError(f"pruning_rate must lie in [0, 1), got {self.pruning_rate}")
        check_least(self, keep_tokens=0)

    def start(self, geometry: DecoderGeometry, layout: SampleLayout) -> None:
        """Check that the prompt shows a video that the budget fits.

        Raises:
            UnsupportedError: It shows no video of at least two frames.
            ConfigError: Fewer tokens than a frame has are to stay, or more than there are.
        """
        video = VideoFrames.of(layout, "EVS")
        most = video.frames * video.tokens
        if self.keep_tokens and not video.tokens <= self.keep_tokens <= most:
            raise ConfigError(
                f"{layout.sample_id}: evs, keep_tokens: {self.keep_tokens} tokens of a video of {video.frames} frames "
                f"of {video.tokens}; expected {video.tokens}, as the first frame always stays, to {most}"
            )
        least = 1 - 1 / video.frames
        if self.mode == "strict" and not self.keep_tokens and self.pruning_rate > least:
            warnings.warn(
                f"{layout.sample_id}: EVS keeps the first of {video.frames} frames, so {least:.1%} of the tokens go, "
                f"not {self.pruning_rate:.1%}",
                stacklevel=2,
            )

    def before_layer(self, layer: int, hidden: Tensor, stream: TokenStream, state: Any) -> Resequenced | None:
        """Keep what differs most from the frame before."""
        if layer:
            return None
        video = VideoFrames.of(stream.layout, "EVS", hidden.device)
        count = self.keep_tokens or retained_count(video.frames, video.tokens, self.pruning_rate)
        if count >= video.frames * video.tokens:
            return None
        is_strict = self.mode == "strict"
        differences = frame_differences(video.values(hidden, stream), is_strict=is_strict).flatten()
        refuse_nan(differences, layer, self.name)
        rows = video.remaining(stream, select_top(differences, count))
        return Resequenced(rows, renumbers=not is_strict)
