"""AdapTiV: tokens whose signs agree with a neighbour's merge before the first layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from focal_algorithm.kernels.adaptiv import SignMerge, linear_margins, sign_merge
from focal_algorithm.methods.base import CompressionMethod, Resequenced, TokenStream
from focal_algorithm.methods.build import published_thresholds
from focal_algorithm.methods.study import BudgetParameter, MethodStudy
from focal_algorithm.prompts.layout import SampleLayout, is_pyramid
from focal_common.errors import ConfigError
from focal_traces.header.schema import DecoderGeometry, SampleHeader, TokenGrid
from focal_traces.methods.adaptiv import SPARSITY
from focal_traces.records.records import Record


@dataclass
class AdaptivState:
    """What AdapTiV remembers of one prefill.

    Attributes:
        grid: Layout of the visual tokens.
        layers: Decoder layers.
        merge: None before layer 0.
    """

    grid: TokenGrid
    layers: int
    merge: SignMerge | None = None


class _AdaptivStudy(MethodStudy):
    def published(self, model: str, dataset: str) -> dict[str, Any]:
        """Return the threshold of the published table; empty if the pair is not in it."""
        table = published_thresholds("adaptiv_thresholds.csv", ("adaptiv_threshold",))
        row = table.get((model, dataset))
        return {} if row is None else {"threshold": row[0]}

    def budget(self, method: Adaptiv, geometry: DecoderGeometry, sample: SampleHeader) -> BudgetParameter:
        """Return the threshold, up to where nothing merges."""

        def at(threshold: float) -> dict[str, Any]:
            return {"threshold": threshold}

        return BudgetParameter(
            "threshold", method.threshold, 1e-6, max(1.01, method.threshold), rises=True, parameters=at
        )

    def records(self, method: Adaptiv, state: AdaptivState) -> Sequence[Record]:
        """Return kept tokens per m-tile of the dense sequence, for every layer: no token returns later."""
        if state.merge is None:
            return ()
        is_kept = state.merge.is_kept
        size = method.m_tile or len(is_kept)
        kept = [int(part.sum()) for part in is_kept.split(size)]
        tokens = [len(part) for part in is_kept.split(size)]
        return [Record.of("tile", layer, "layer_input", kept, tokens) for layer in range(state.layers)]

    def summary(self, method: Adaptiv, state: AdaptivState) -> dict[str, float]:
        """Return merged tokens over S."""
        return {"sparsity": 0.0 if state.merge is None else state.merge.sparsity}

    def write_tables(
        self, root: Path, model: str, dataset: str, summaries: Sequence[Mapping[str, float]]
    ) -> dict[str, Path]:
        """Write the mean sparsity of all prefills to ``adaptiv_sparsity.csv``."""
        if not summaries:
            return {}
        mean = math.fsum(summary["sparsity"] for summary in summaries) / len(summaries)
        return {"adaptiv_sparsity": SPARSITY.upsert(root, model, dataset, mean)}


@dataclass(frozen=True, kw_only=True)
class Adaptiv(CompressionMethod):
    """Sign-similarity token merging, once, at the input of the first decoder layer.

    Paper: AdapTiV, Yoo et al., MICRO 2024; the adaptation to vision-language models is that of the baselines of
        Focus, HPCA 2026, sec. VII-A.
    Deviations: in ``compatible`` mode none from the published artifact. It differs from the AdapTiV paper:
        merging happens once and not in every layer, representatives keep their own value, and by linear token
        numbers the first row, the first column and the whole first frame never merge (on an anyres image the
        numbers ignore the overview in front). ``strict`` mode repairs the margins: a token is barred only from
        a neighbour that it does not have, and overview and large grid of an anyres image are two grids.

    Args:
        threshold: Sum of sign products over the width, from which on a token merges, above 0; above
            1 nothing merges. Default 0.6: the artifact's default row.
        mode: ``compatible`` with the published artifact, or ``strict``.
    """

    study: ClassVar[MethodStudy] = _AdaptivStudy(ignores_question=True, no_effect={"threshold": 2.0})

    threshold: float = 0.6
    mode: Literal["compatible", "strict"] = "compatible"

    def __post_init__(self) -> None:
        super().__post_init__()
        # Above 1 nothing can agree, which is how a user turns merging off.
        if not self.threshold > 0:
            raise ConfigError(f"threshold must be above 0, got {self.threshold}")

    def start(self, geometry: DecoderGeometry, layout: SampleLayout) -> AdaptivState:
        """Return a fresh state.

        Raises:
            ConfigError: The visual tokens have no grid.
        """
        if layout.grid is None:
            raise ConfigError(
                f"{layout.sample_id}: visual tokens without a grid; expected frames, rows, columns"
            )
        return AdaptivState(layout.grid, geometry.layers)

    def before_layer(
        self, layer: int, hidden: Tensor, stream: TokenStream, state: AdaptivState
    ) -> Resequenced | None:
        """Drop merged tokens at the input of layer 0."""
        if layer:
            return None
        visual = stream.visual_rows
        rules = _strict_rules if self.mode == "strict" else _published_rules
        up, left, open_up, open_left = rules(state.grid, len(visual), hidden.device)
        state.merge = sign_merge(
            hidden[visual],
            up=up,
            left=left,
            open_up=open_up,
            open_left=open_left,
            threshold=self.threshold,
        )
        is_kept = torch.ones(len(hidden), dtype=torch.bool, device=hidden.device)
        is_kept[visual] = state.merge.is_kept
        if bool(is_kept.all()):
            return None
        merged_into = torch.arange(len(hidden), device=hidden.device)
        merged_into[visual] = visual[state.merge.representative]
        return Resequenced(is_kept.nonzero().flatten(), merged_into=merged_into)


_Rules = tuple[Tensor, Tensor, Tensor, Tensor]
"""Distances upwards and to the left, and whether each direction is open, axes (S)."""


def _published_rules(grid: TokenGrid, tokens: int, device: torch.device) -> _Rules:
    if is_pyramid(grid):  # as published: one frame, which begins at the first token of the overview
        grid = grid.model_copy(update={"frames": 1, "frame_stride": grid.rows * grid.columns})
    open_up, open_left = linear_margins(grid, tokens, device)
    up = torch.full((tokens,), grid.row_stride, device=device)
    return up, torch.full((tokens,), grid.column_stride, device=device), open_up, open_left


def _strict_rules(grid: TokenGrid, tokens: int, device: torch.device) -> _Rules:
    token = torch.arange(tokens, device=device)
    up = torch.full((tokens,), grid.row_stride, device=device)
    left = torch.full((tokens,), grid.column_stride, device=device)
    inside = token % grid.frame_stride
    if is_pyramid(grid):
        overview = tokens - grid.rows * grid.columns
        is_overview = token < overview
        up[is_overview] = grid.frame_stride  # the side of the overview
        inside = torch.where(is_overview, token, token - overview)
    return up, left, inside >= up, inside % up >= left
