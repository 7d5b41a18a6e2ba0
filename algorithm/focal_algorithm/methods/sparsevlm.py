"""SparseVLM: text tokens rate the visual ones inside the language model; dropped ones are recycled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from focal_algorithm.kernels.ordering import top_indices
from focal_algorithm.kernels.sparsevlm import (
    PRUNING_LAYERS,
    PUBLISHED_LAYERS,
    PUBLISHED_TOKENS,
    attention_rows,
    cluster_count,
    corrected,
    kept_counts,
    merge_by_density_peaks,
    position_weights,
    rank_line,
    rank_of,
    rater_scores,
    raters_of,
    recycled_count,
    relevance_of,
    selected_heads,
)
from focal_algorithm.methods.base import (
    AttentionOperands,
    CompressionMethod,
    Resequenced,
    TokenStream,
    check_least,
)
from focal_algorithm.methods.study import BudgetParameter, MethodStudy
from focal_algorithm.prompts.layout import SampleLayout
from focal_common.errors import ConfigError, RunError, UnsupportedError
from focal_traces.header.schema import DecoderGeometry, SampleHeader

_LEAST_WEIGHT = 1e-3  # strict mode leaves attention uncorrected below it; chosen here, well above rounding


@dataclass
class SparseVlmState:
    """What SparseVLM remembers between the layers of one prefill.

    Attributes:
        raters: Text tokens that rate, counted from the first after the visual tokens, int64.
        relevance: Relevance of the visual tokens present, axes (visual tokens present); None before a pruning layer.
        rank: Rank of the raters' attention, for version 1.0.
    """

    raters: Tensor | None = None
    relevance: Tensor | None = None
    rank: int = 0


class _SparseVlmStudy(MethodStudy):
    def fitted(self, geometry: DecoderGeometry) -> dict[str, Any]:
        """Return counts in their published share of the prompt, and pruning layers at the same relative depth."""
        fitted: dict[str, Any] = {"scale_by_tokens": True}
        if geometry.layers == PUBLISHED_LAYERS:
            return fitted
        moved = tuple(layer * geometry.layers // PUBLISHED_LAYERS for layer in PRUNING_LAYERS)
        return fitted | {"pruning_layers": moved}

    def for_tokens(self, method: SparseVlm, tokens: int) -> dict[str, Any]:
        """Return the published budget of that name, whose mean over the layers it is."""
        return {"retained_tokens": tokens, "scale_by_tokens": False}

    def budget(
        self, method: SparseVlm, geometry: DecoderGeometry, sample: SampleHeader
    ) -> BudgetParameter | None:
        """Return one factor for the tokens kept at each pruning layer; none in version 1.0, whose ranks decide."""
        if not method.pruning_layers or method.version == "1.0":
            return None
        counts = method._counts
        unit = sample.visual_tokens / PUBLISHED_TOKENS if method.scale_by_tokens else 1.0

        def scaled(factor: float) -> dict[str, Any]:
            kept = tuple(max(1, round(count * unit * factor)) for count in counts)
            return {"kept_tokens": kept, "scale_by_tokens": False}

        most = max(1.0, sample.visual_tokens / (min(counts) * unit))
        return BudgetParameter(
            "kept_tokens scale", 1.0, 1 / (max(counts) * unit), most, rises=True, parameters=scaled
        )


@dataclass(frozen=True, kw_only=True)
class SparseVlm(CompressionMethod):
    """Visual tokens rated by text and pruned after a few decoder layers.

    Paper: SparseVLM, ICML 2025 (arXiv:2410.04417), sec. 3.2 (raters), 3.3 (pruning), 3.4 (recycling); version 2.0
        (SparseVLM+, without recycling) is published as code.
    Deviations: ``compatible`` follows the published code: a recycled token is the mean of its cluster, at least
        one token is always dropped, and a budget is a mean over 32 layers. Ties go to the lower index instead
        of random noise. Positions are renumbered in versions 1.0 and 1.5, except where they have several axes.
        ``strict`` drops nothing where a schedule asks for more than there is, takes all text where no token
        rates above the mean, leaves attention uncorrected where the position weight is not clearly positive, and
        takes all heads where there are fewer than asked for.

    Args:
        version: ``1.0`` (counts follow the rank of the attention), ``1.5`` or ``2.0``.
        retained_tokens: Published budget: 192, 128, 96 or 64.
        pruning_layers: Layers, from 0, whose output is shortened; empty for none. Where two fall together the
            later one holds. Default: published code, moved to the same relative depth in other decoders.
        kept_tokens: Tokens kept at each pruning layer; empty for the published ones of the budget.
        scale_by_tokens: Scale the counts by the prompt's visual tokens over 576, for which they were made; set where
            neither a budget nor counts are given (`fitted`).
        heads_kept: Heads that score in version 2.0. Default 14: published code.
        mode: ``compatible`` or ``strict``.
    """

    study: ClassVar[MethodStudy] = _SparseVlmStudy(
        no_effect={"pruning_layers": ()},
        budget_fields=frozenset({"retained_tokens", "kept_tokens", "scale_by_tokens"}),
    )

    version: Literal["1.0", "1.5", "2.0"] = "1.5"
    retained_tokens: int = 192
    pruning_layers: tuple[int, ...] = PRUNING_LAYERS
    kept_tokens: tuple[int, ...] = ()
    scale_by_tokens: bool = False
    heads_kept: int = 14
    mode: Literal["compatible", "strict"] = "compatible"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, vector_size=1, heads_kept=1)
        if (
            list(self.pruning_layers) != sorted(self.pruning_layers)
            or min(self.pruning_layers, default=0) < 0
        ):
            raise ConfigError(f"pruning_layers must ascend from 0, got {self.pruning_layers}")
        if any(count < 1 for count in self.kept_tokens):
            raise ConfigError(f"kept_tokens must be at least 1 each, got {self.kept_tokens}")
        if self.version == "1.0":
            rank_line(self.retained_tokens)
        elif len(self._counts) != len(self.pruning_layers) and self.pruning_layers:
            raise ConfigError(
                f"kept_tokens: {len(self._counts)} counts for {len(self.pruning_layers)} pruning layers; "
                "expected one each"
            )

    @property
    def _counts(self) -> tuple[int, ...]:
        return self.kept_tokens or kept_counts(self.version, self.retained_tokens)

    def start(self, geometry: DecoderGeometry, layout: SampleLayout) -> SparseVlmState:
        """Return a fresh state.

        Raises:
            ConfigError: A pruning layer does not exist, or there are too few heads.
            UnsupportedError: No token follows the visual tokens.
        """
        beyond = [layer for layer in self.pruning_layers if layer >= geometry.layers - 1]
        if beyond:
            raise ConfigError(
                f"pruning_layers: layer {beyond[0]} has no layer after it; expected layers below "
                f"{geometry.layers - 1}"
            )
        if self.pruning_layers and not layout.query_tokens:
            raise UnsupportedError(
                f"{layout.sample_id}: no token follows the visual tokens, so SparseVLM has no raters; put the "
                "question after the image or video"
            )
        if self.version == "2.0" and self.mode == "compatible" and self.heads_kept > geometry.heads:
            raise ConfigError(
                f"heads_kept: SparseVLM 2.0 scores with {self.heads_kept} heads, the decoder has "
                f"{geometry.heads}; expected at most that"
            )
        return SparseVlmState()

    def see_attention(
        self, layer: int, operands: AttentionOperands, stream: TokenStream, state: SparseVlmState
    ) -> None:
        """Rate the visual tokens; only the rows of the raters are computed.

        Raises:
            UnsupportedError: Version 2.0, and positions have several axes.
            RunError: The attention is NaN.
        """
        if layer not in self.pruning_layers:
            return
        tables = operands.rotary if self.version == "2.0" else None
        if tables is not None and tables[0].ndim != 2:
            raise UnsupportedError(
                "SparseVLM 2.0 corrects attention by one position per token, but this model's positions have "
                "several axes; use version=1.5"
            )
        if state.raters is None:
            return
        rows = stream.query_rows[state.raters]
        attention = attention_rows(
            operands.query,
            operands.key,
            rows,
            operands.scaling,
            operands.mask_of(rows, operands.key.shape[1]),
        )
        attention = attention[:, :, stream.visual_rows]
        if tables is not None:
            weights = position_weights(*tables, rows, stream.visual_rows)
            attention = corrected(attention, weights, _LEAST_WEIGHT if self.mode == "strict" else 0.0)
            attention = attention[selected_heads(attention, self.heads_kept)]
        if self.version == "1.0":
            state.rank = rank_of(attention)
        state.relevance = relevance_of(attention)
        if bool(state.relevance.isnan().any()):
            raise RunError(f"layer {layer}: attention to visual tokens is NaN; relevance cannot be ranked")

    def before_layer(
        self, layer: int, hidden: Tensor, stream: TokenStream, state: SparseVlmState
    ) -> Resequenced | None:
        """Choose the raters at layer 0; carry out a pruning layer's choice at the input of the next."""
        if layer == 0 and self.pruning_layers:
            state.raters = self._raters(hidden, stream)
        if state.relevance is None:
            return None
        relevance, state.relevance = state.relevance, None
        available = len(stream.visual_rows)
        count = self._count(layer - 1, stream, available, state.rank)
        if count >= available:
            return None
        is_kept = torch.zeros(available, dtype=torch.bool, device=hidden.device)
        is_kept[top_indices(relevance, count)] = True
        return self._shortened(hidden, stream, relevance, is_kept)

    def _raters(self, hidden: Tensor, stream: TokenStream) -> Tensor:
        visual = hidden[stream.visual_rows]
        if bool(visual.isnan().any()):
            raise RunError(f"{stream.layout.sample_id}: the visual tokens hold NaN; expected finite numbers")
        raters = raters_of(rater_scores(visual, hidden[stream.query_rows]))
        if len(raters):
            return raters
        if self.mode == "strict":
            return torch.arange(len(stream.query_rows), device=hidden.device)
        raise UnsupportedError(
            f"{stream.layout.sample_id}: no text token rates above the mean, so SparseVLM has no raters; give a "
            "longer question, or mode=strict to let all text rate"
        )

    def _count(self, layer: int, stream: TokenStream, available: int, rank: int) -> int:
        if self.version == "1.0":
            scale, bias = rank_line(self.retained_tokens)
            if rank == available:
                return available
            wanted = int(rank * scale + bias)
        else:
            at = max(index for index, one in enumerate(self.pruning_layers) if one == layer)
            wanted = self._counts[at]
        if self.scale_by_tokens:
            wanted = round(wanted * stream.layout.visual_tokens / PUBLISHED_TOKENS)
        most = available if self.mode == "strict" else available - 1
        return max(1, min(wanted, most))

    def _shortened(
        self, hidden: Tensor, stream: TokenStream, relevance: Tensor, is_kept: Tensor
    ) -> Resequenced:
        visual = stream.visual_rows
        every = torch.arange(len(hidden), device=hidden.device)
        first, last = int(visual[0]), int(visual[-1])
        merged_into = every.clone()
        merged_into[visual[~is_kept]] = -1
        if self.version == "2.0":
            rows = torch.cat((every[:first], visual[is_kept], every[last + 1 :]))
            return Resequenced(rows, merged_into=merged_into)  # positions stay: they corrected the attention
        dropped = visual[~is_kept]
        recycled = dropped[top_indices(relevance[~is_kept], recycled_count(len(dropped)))]
        clusters = cluster_count(len(recycled))
        merged, centres, cluster = merge_by_density_peaks(
            hidden[recycled], clusters, self._noise(len(recycled))
        )
        merged_into[recycled] = recycled[centres][cluster]
        changed = hidden.clone()
        changed[recycled[centres]] = merged
        rows = torch.cat((every[:first], visual[is_kept], recycled[centres], every[last + 1 :]))
        made_of = torch.full_like(merged_into, -1)
        made_of[recycled[centres]] = torch.bincount(cluster, minlength=clusters)
        return Resequenced(rows, changed[rows], merged_into, made_of, renumbers=True)

    def _noise(self, tokens: int) -> Tensor | None:
        """Return what breaks ties between ``tokens`` densities; None for their order."""
        return None
