"""CMC: tokens of a video that resemble one of the reference frame of their interval are replaced by it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from focal_algorithm.kernels.cmc_motion import Motion, search_motion
from focal_algorithm.kernels.cmc_replacement import (
    kept_by_codec,
    replace_rows,
    replace_tokens,
    replaced_by,
    vector_masks,
)
from focal_algorithm.methods.base import (
    CompressionMethod,
    GemmOutcome,
    HostNeeds,
    Resequenced,
    TokenStream,
    VectorMasks,
    check_least,
)
from focal_algorithm.methods.build import published_thresholds
from focal_algorithm.methods.study import BudgetParameter, MethodStudy
from focal_algorithm.prompts.layout import SampleLayout, has_gaps, is_pyramid
from focal_common.errors import UnsupportedError
from focal_traces.header.schema import DecoderGeometry, SampleHeader
from focal_traces.methods.cmc import SPARSITY, CmcSparsity
from focal_traces.records.records import WHOLE, Record

_SCALE_RANGE = (1e-4, 1e4)  # factors on thresholds; activations of trained models differ by less
_THRESHOLDS = ("CMC_threshold", "CMC_query_threshold", "CMC_attn_threshold")


@dataclass
class CmcState:
    """What CMC remembers of one prefill.

    Attributes:
        geometry: Decoder shape.
        layout: Layout of the prompt.
        frames: F; the visual tokens are F frames of P tokens.
        linear: Motion of the embeddings, which every linear layer uses; None before layer 0.
        places: Token that stands for each visual token at linear layers, axes (1, S).
        kept: Informative tokens by (layer, point, head), axes (intervals).
        interval_tokens: Tokens of each interval, axes (intervals).
    """

    geometry: DecoderGeometry
    layout: SampleLayout
    frames: int
    linear: Motion | None = None
    places: Tensor | None = None
    kept: dict[tuple[int, str, int], Tensor] = field(default_factory=dict)
    interval_tokens: Tensor | None = None

    def frame_tokens(self, values: Tensor) -> Tensor:
        """Return (heads, S, width) as (heads, F, P, width)."""
        return values.unflatten(1, (self.frames, -1))

    def keep(self, layer: int, point: str, motion: Motion, first_head: int = WHOLE) -> None:
        """Remember the counts of a search, one entry per head."""
        self.interval_tokens = motion.interval_tokens()
        for head, kept in enumerate(motion.informative(), start=first_head):
            self.kept[layer, point, head] = kept

    def sparsity(self, point: str) -> float:
        """Return the mean over layers and heads of the fraction of tokens the codec does not keep."""
        counts = [kept for (_, name, _), kept in self.kept.items() if name == point]
        if not counts or self.interval_tokens is None:
            return 0.0
        tokens = len(counts) * int(self.interval_tokens.sum())
        return (tokens - int(torch.stack(counts).sum())) / tokens


class _CmcStudy(MethodStudy):
    def published(self, model: str, dataset: str) -> dict[str, Any]:
        """Return the thresholds of the published table; empty if the pair is not in it."""
        row = published_thresholds("cmc_thresholds.csv", _THRESHOLDS).get((model, dataset))
        names = ("threshold", "query_threshold", "attn_threshold")
        return {} if row is None else dict(zip(names, row, strict=True))

    def budget(self, method: Cmc, geometry: DecoderGeometry, sample: SampleHeader) -> BudgetParameter | None:
        """Return one factor for the three thresholds; none where linear layers replace nothing."""
        if not method.threshold:
            return None
        names = ("threshold", "query_threshold", "attn_threshold")

        def scaled(factor: float) -> dict[str, Any]:
            return {name: getattr(method, name) * factor for name in names}

        least, most = _SCALE_RANGE
        return BudgetParameter(
            "threshold scale", 1.0, least, most, rises=False, parameters=scaled, is_logarithmic=True
        )

    def records(self, method: Cmc, state: CmcState) -> Sequence[Record]:
        """Return informative tokens per interval by layer, point and head, and the map of the embeddings."""
        tiles = [
            Record.of("tile", layer, point, kept.cpu(), state.interval_tokens, head=head)
            for (layer, point, head), kept in state.kept.items()
        ]
        if state.places is None:
            return tiles
        tokens = torch.arange(state.layout.visual_tokens) + state.layout.visual_start
        stands = kept_by_codec(state.places, state.frames)[0].cpu()
        stands = torch.where(stands < 0, -1, stands + state.layout.visual_start)
        return [Record.of("map", 0, "linear", stands, state.layout.sequence_tokens, tokens), *tiles]

    def summary(self, method: Cmc, state: CmcState) -> dict[str, float]:
        """Return the sparsity of embeddings, queries and probabilities."""
        points = {"linear": "linear", "query": "query", "attention_score": "probabilities"}
        return {name: state.sparsity(point) for name, point in points.items()}

    def write_tables(
        self, root: Path, model: str, dataset: str, summaries: Sequence[Mapping[str, float]]
    ) -> dict[str, Path]:
        """Write the mean sparsities of all prefills to ``cmc_sparsity.csv``."""
        if not summaries:
            return {}
        names = ("linear", "query", "attention_score")
        means = [math.fsum(summary[name] for summary in summaries) / len(summaries) for name in names]
        return {"cmc_sparsity": SPARSITY.upsert(root, model, dataset, CmcSparsity(*means))}


@dataclass(frozen=True, kw_only=True)
class Cmc(CompressionMethod):
    """Codec-like replacement within intervals of 8 frames; no token is dropped.

    Paper: CMC, Song et al., ASPLOS 2024, doi 10.1145/3620665.3640393; the adaptation to vision-language models is
        that of the baselines of Focus, HPCA 2026, sec. VII-A.
    Deviations: in ``compatible`` mode none from the published artifact. The artifact differs from the CMC
        paper: the search is global and by a fixed threshold, linear layers reuse the motion of the embeddings, rows of
        probabilities are replaced against causality and not normalised again, and near-zero tokens of an
        interval without reference frame become zero. The last layer keeps its fused attention, as there.
        ``strict`` mode leaves such intervals and all reference frames as they are, and sets probabilities of
        later tokens to zero before normalising rows again.

    Args:
        threshold: Mean absolute difference of embeddings below which a token is replaced; 0 for none. Default
            0.4: the artifact's default row.
        query_threshold: The same for queries after the position embedding. Default 0.8.
        attn_threshold: The same for rows of attention probabilities. Default 0.00005.
        is_simplified: Compare with the same place of the reference frame only.
        mode: ``compatible`` with the published artifact, or ``strict``.
    """

    study: ClassVar[MethodStudy] = _CmcStudy(
        ignores_question=True, no_effect={"threshold": 0.0, "query_threshold": 0.0, "attn_threshold": 0.0}
    )

    threshold: float = 0.4
    query_threshold: float = 0.8
    attn_threshold: float = 0.00005
    is_simplified: bool = False
    mode: Literal["compatible", "strict"] = "compatible"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, threshold=0, query_threshold=0, attn_threshold=0)

    @property
    def needs(self) -> HostNeeds:
        """Unfused attention in all layers but the last, as published; no token is ever dropped."""
        return HostNeeds(probability_layers=slice(-1 if self.attn_threshold else 0), only_looks=True)

    def start(self, geometry: DecoderGeometry, layout: SampleLayout) -> CmcState:
        """Return a fresh state.

        Raises:
            UnsupportedError: The visual tokens are not several frames of equal length, one after the other.
        """
        if has_gaps(layout):
            raise UnsupportedError(
                f"{layout.sample_id}: CMC compares frames place by place, but other tokens lie between its frames; "
                "expected a video whose frames follow each other"
            )
        grid = layout.grid
        if grid is None or grid.frames < 2 or is_pyramid(grid) or layout.visual_tokens % grid.frames:
            raise UnsupportedError(
                f"{layout.sample_id}: CMC searches motion between frames; expected a video of at least two "
                "frames of equal length"
            )
        return CmcState(geometry, layout, grid.frames)

    def before_layer(
        self, layer: int, hidden: Tensor, stream: TokenStream, state: CmcState
    ) -> Resequenced | None:
        """Search the embeddings at the input of layer 0; no token is dropped."""
        if not layer and self.threshold:
            embeddings = state.frame_tokens(hidden[stream.visual_rows][None])
            state.linear = self._search(embeddings, self.threshold, "embeddings")
            state.places = replaced_by(state.linear, is_strict=self.mode == "strict")
            for index in range(state.geometry.layers):
                state.keep(index, "linear", state.linear)
        return None

    def transform(
        self, layer: int, gemm: str, values: Tensor, stream: TokenStream, state: CmcState
    ) -> GemmOutcome:
        """Replace whole tokens, and in the query whole heads of tokens."""
        places, heads = state.places, 1
        visual = values[stream.visual_rows]
        if gemm == "query":
            heads = state.geometry.heads
            places = self._query_places(layer, _by_head(visual, heads), state)
        if places is None:
            return GemmOutcome(values)
        replaced = replace_tokens(_by_head(visual, heads), places).transpose(0, 1).flatten(1)
        found = vector_masks(replaced, places, frames=state.frames, vector_size=self.vector_size)
        masks = VectorMasks(found.is_zero, found.is_similar, token=found.token)
        return GemmOutcome(values.index_copy(0, stream.visual_rows, replaced), masks)

    def replace_probabilities(
        self, layer: int, first_head: int, probabilities: Tensor, stream: TokenStream, state: CmcState
    ) -> Tensor:
        """Replace the rows of visual tokens, head by head."""
        # No token is ever dropped, so visual rows are one range. The width is that of the prompt, also where
        # generated tokens are computed again behind it.
        rows = slice(stream.layout.visual_start, stream.layout.visual_stop)
        for place, head in enumerate(probabilities[:, rows, : stream.layout.sequence_tokens]):
            name = f"layer {layer}, attention probabilities"
            motion = search_motion(
                state.frame_tokens(head[None]),
                self.attn_threshold,
                is_simplified=self.is_simplified,
                only_replaceable=True,
                name=name,
            )
            state.keep(layer, "probabilities", motion, first_head + place)
            replace_rows(head, replaced_by(motion, is_strict=self.mode == "strict")[0])
            if self.mode == "strict":
                _make_causal(head, rows.start)
        return probabilities

    def _query_places(self, layer: int, query: Tensor, state: CmcState) -> Tensor | None:
        if not self.query_threshold:
            return None
        motion = self._search(state.frame_tokens(query), self.query_threshold, f"layer {layer}, query")
        state.keep(layer, "query", motion, 0)
        return replaced_by(motion, is_strict=self.mode == "strict")

    def _search(self, values: Tensor, threshold: float, name: str) -> Motion:
        return search_motion(values, threshold, is_simplified=self.is_simplified, name=name)


def _make_causal(rows: Tensor, first: int) -> None:
    """Take probability from later tokens and share it out, in place; row 0 belongs to token ``first``."""
    rows.copy_(rows.tril(first))
    rows /= rows.sum(dim=1, keepdim=True)


def _by_head(values: Tensor, heads: int) -> Tensor:
    """Return (tokens, width) as (heads, tokens, width of a head)."""
    return values.unflatten(1, (heads, -1)).transpose(0, 1)
