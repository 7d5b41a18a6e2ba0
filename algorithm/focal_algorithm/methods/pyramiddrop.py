"""PyramidDrop: drop visual tokens in stages, by the attention that the layer about to run would pay them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal

from torch import Tensor

from focal_algorithm.kernels.ordering import select_top
from focal_algorithm.methods.base import (
    CompressionMethod,
    Resequenced,
    TokenStream,
    check_least,
    check_shares,
)
from focal_algorithm.methods.selector import (
    attention_of_last,
    check_layer,
    check_question,
    share_of_picture,
)
from focal_algorithm.methods.study import BudgetParameter, MethodStudy
from focal_algorithm.prompts.layout import SampleLayout
from focal_common.errors import ConfigError
from focal_traces.header.schema import DecoderGeometry, SampleHeader

_LEAST_RATIO = 0.25
"""Smallest ratio between stages before the stages move to earlier layers instead; ours, the papers do not say."""


class _PyramidDropStudy(MethodStudy):
    def fitted(self, geometry: DecoderGeometry) -> dict[str, Any]:
        """Return the drops at the same relative depth; fewer of them in a decoder of fewer than four layers."""
        moved = {max(1, layer * geometry.layers // 32) for layer in PyramidDrop.layers}
        layers = tuple(sorted(layer for layer in moved if layer < geometry.layers))
        return {"layers": layers, "ratios": PyramidDrop.ratios[: len(layers)]}

    def for_tokens(self, method: type[PyramidDrop], tokens: int) -> dict[str, Any]:
        """Return the mean over the layers: what the tokens of a schedule are compared by."""
        return {"mean_tokens": tokens}

    def for_share(self, method: type[PyramidDrop], share: float) -> dict[str, Any]:
        """Likewise, as a share of the visual tokens."""
        return {"mean_share": share}

    def budget(
        self, method: PyramidDrop, geometry: DecoderGeometry, sample: SampleHeader
    ) -> BudgetParameter | None:
        """Return the mean share over the layers."""
        visual = max(1, sample.visual_tokens)
        stages = method.stages(visual, geometry.layers)
        start = _mean([visual, *stages.values()], list(stages), geometry.layers) / visual
        return BudgetParameter(
            "mean_share", start, 1 / visual, 1.0, rises=True, parameters=lambda share: {"mean_share": share}
        )


@dataclass(frozen=True, kw_only=True)
class PyramidDrop(CompressionMethod):
    """Before some layers, ranks the visual tokens left by the query of the prompt's last token and drops the rest.

    Paper: PyramidDrop, Xing et al., CVPR 2025, arXiv:2410.17247; the form for inference.
    Deviations: key heads are repeated where queries have more of them, which the released code does not. Each image of
        a prompt is a range of its own, ranked after those before it were shortened. Kept tokens count up without gaps
        from each drop on, as published, except where positions have several axes. Equal scores go to the lower
        index. ``mean_tokens`` and ``mean_share`` are ours: papers that compare at 192, 128 or 64 tokens give no
        settings. ``strict`` keeps at least one visual token and refuses a prompt without a question.

    Args:
        layers: Layers before which tokens are dropped, ascending, from 1. Default 8, 16, 24 of 32: published.
        ratios: Share of the prompt's visual tokens (not of those left) that stays from each on, in (0, 1], falling;
            rounded down. Default 0.5, 0.25, 0.125: published.
        mean_tokens: Visual tokens per layer on average; the ratios are then powers of one number that is solved for
            each prompt, and the layers are halved until it is at least 0.25; one token stays at least. 0 to follow
            ``ratios``.
        mean_share: Likewise, as a share of the visual tokens, in [0, 1]; 0 to follow ``ratios``.
        mode: ``compatible`` or ``strict``.
    """

    study: ClassVar[MethodStudy] = _PyramidDropStudy(
        no_effect={"layers": (), "ratios": ()},
        budget_fields=frozenset({"ratios", "mean_tokens", "mean_share"}),
    )

    layers: tuple[int, ...] = (8, 16, 24)
    ratios: tuple[float, ...] = (0.5, 0.25, 0.125)
    mean_tokens: int = 0
    mean_share: float = 0.0
    mode: Literal["compatible", "strict"] = "compatible"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, mean_tokens=0)
        check_shares(self, "mean_share", from_zero=True)
        if len(self.layers) != len(self.ratios) and not (self.mean_tokens or self.mean_share):
            raise ConfigError(f"ratios must be as many as layers, {len(self.layers)}, got {len(self.ratios)}")
        if any(layer < 1 for layer in self.layers) or any(one >= two for one, two in pairwise(self.layers)):
            raise ConfigError(f"layers must ascend from at least 1, got {list(self.layers)}")
        if any(not 0 < ratio <= 1 for ratio in self.ratios) or any(
            one < two for one, two in pairwise(self.ratios)
        ):
            raise ConfigError(f"ratios must lie in (0, 1] and not rise, got {list(self.ratios)}")
        if self.mean_share and self.mean_tokens:
            raise ConfigError(f"mean_share must be 0 beside mean_tokens, got {self.mean_share}")

    def stages(self, visual_tokens: int, decoder_layers: int, mean: float = 0.0) -> dict[int, int]:
        """Return how many of N visual tokens stay from each layer of a drop on.

        Args:
            visual_tokens: N.
            decoder_layers: Of the decoder.
            mean: Visual tokens per layer on average; 0 for those of ``mean_tokens``, ``mean_share`` or ``ratios``.

        Raises:
            ConfigError: A mean that no drop from layer 1 on can give.
        """
        mean = mean or self.mean_tokens or self.mean_share * visual_tokens
        layers, ratios = self.layers, self.ratios
        if mean:
            layers, ratio = _solved(self.layers, visual_tokens, decoder_layers, mean)
            ratios = tuple(ratio**stage for stage in range(1, len(layers) + 1))
        least = int(
            self.mode == "strict" or bool(mean)
        )  # a mean is ours, and no budget takes the whole picture away
        return {
            layer: max(least, int(visual_tokens * ratio)) for layer, ratio in zip(layers, ratios, strict=True)
        }

    def start(self, geometry: DecoderGeometry, layout: SampleLayout) -> dict[int, int]:
        """Return how many visual tokens stay from each layer of a drop on.

        Raises:
            ConfigError: A layer or the tokens to keep do not exist.
            UnsupportedError: ``strict``, and no text follows the picture.
        """
        check_layer(geometry, max(self.layers, default=0), "layers: PyramidDrop drops before")
        mean = share_of_picture(self.mean_tokens, layout, "pyramiddrop, mean_tokens")
        check_question(layout, self.name, is_strict=self.mode == "strict")
        return self.stages(layout.visual_tokens, geometry.layers, mean)

    def before_layer(
        self, layer: int, hidden: Tensor, stream: TokenStream, state: dict[int, int]
    ) -> Resequenced | None:
        """Keep the visual tokens that the last token of the prompt would attend to most in this layer."""
        count = state.get(layer, len(stream.visual_rows))
        if count >= len(stream.visual_rows) or stream.ahead is None:
            return None
        scores = attention_of_last(
            stream.ahead(), stream.visual_rows, stream.rows_of_prompt, layer, self.name
        )
        return Resequenced(stream.keeping(select_top(scores, count)), renumbers=True)


def _mean(counts: Sequence[float], layers: Sequence[int], decoder_layers: int) -> float:
    """Return the mean over the layers of what is present at first and from each layer of a drop on."""
    spans = [stop - start for start, stop in pairwise([0, *layers, decoder_layers])]
    return sum(count * span for count, span in zip(counts, spans, strict=True)) / decoder_layers


def _solved(
    layers: tuple[int, ...], visual_tokens: int, decoder_layers: int, mean: float
) -> tuple[tuple[int, ...], float]:
    """Return layers of drops, and the ratio between stages, that give a mean number of visual tokens per layer."""
    share = mean / visual_tokens

    def reached(of: tuple[int, ...], ratio: float) -> float:
        return _mean([ratio**stage for stage in range(len(of) + 1)], of, decoder_layers)

    while layers and reached(layers, _LEAST_RATIO) > share:
        halved = tuple(layer // 2 for layer in layers)
        if halved[0] < 1 or any(one >= two for one, two in pairwise(halved)):
            break
        layers = halved
    low, high = 0.0, 1.0
    if reached(layers, low) > share:
        least = visual_tokens * reached(layers, low)
        raise ConfigError(
            f"pyramiddrop: a mean of {mean:g} of {visual_tokens} visual tokens cannot be had, because the layers "
            f"before the first drop, {layers[0] if layers else decoder_layers} of {decoder_layers}, hold all of them; "
            f"expected above {least:g}"
        )
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if reached(layers, middle) < share else (low, middle)
    return layers, high
