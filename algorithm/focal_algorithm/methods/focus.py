"""Focus: semantic concentration drops tokens, similarity concentration merges vectors."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import as_file, files
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from focal_algorithm.kernels.candidates import PartnerRows
from focal_algorithm.kernels.importance import importance
from focal_algorithm.kernels.matching import matching_note
from focal_algorithm.kernels.ordering import select_top, tokens_to_keep
from focal_algorithm.kernels.similarity import (
    NO_WINNER,
    Concentration,
    check_threshold,
    concentrate,
)
from focal_algorithm.methods.base import (
    AttentionOperands,
    CompressionMethod,
    GemmOutcome,
    Resequenced,
    TokenStream,
    VectorMasks,
    check_least,
)
from focal_algorithm.methods.study import BudgetParameter, MethodStudy
from focal_algorithm.prompts.layout import SampleLayout
from focal_common.errors import ConfigError, UnsupportedError
from focal_traces.header.schema import DecoderGeometry, SampleHeader, TokenGrid
from focal_traces.masks.pointers import PointerRule, candidate_offsets
from focal_traces.methods.focus import SCHEDULES, ScheduleRow
from focal_traces.synthetic.schedule import Schedule
from focal_traces.tables.table import Key

_SCHEDULE_LAYERS = 28  # decoder layers of every model of the published tables
_NOTHING = {
    "selected_layers": (),
    "alpha_list": (),
    # A block in which a vector meets only itself.
    "similarity_threshold": 1.0,
    "block_size": 1,
    "frame_block_size": 1,
}


@dataclass
class FocusState:
    """What Focus remembers between the layers of one prefill.

    Attributes:
        grid: Layout of the visual tokens.
        importance: Of the visual tokens present, axes (visual tokens present); None before a selected layer.
        partners: Partners of the tokens present; they change only where tokens are dropped.
    """

    grid: TokenGrid
    importance: Tensor | None = field(default=None)
    partners: PartnerRows = field(default_factory=PartnerRows)


class _FocusStudy(MethodStudy):
    def published(self, model: str, dataset: str) -> dict[str, Any]:
        """Return schedule and threshold of the published table; empty if the pair is not in it."""
        row = _published_rows().get((model, dataset))
        if row is None:
            return {}
        return {
            "selected_layers": row.schedule.layers,
            "alpha_list": row.schedule.alphas,
            "similarity_threshold": row.similarity_threshold,
        }

    def fitted(self, geometry: DecoderGeometry) -> dict[str, Any]:
        """Return the default schedule moved to the same relative depth, where the decoder has not 28 layers."""
        if geometry.layers == _SCHEDULE_LAYERS:
            return {}
        # A shallow decoder maps several layers to one; the later, stronger pruning holds there.
        moved = {
            layer * geometry.layers // _SCHEDULE_LAYERS: alpha
            for layer, alpha in zip(Focus.selected_layers, Focus.alpha_list, strict=True)
        }
        return {"selected_layers": tuple(moved), "alpha_list": tuple(moved.values())}

    def recorded_only(self, method: Focus) -> frozenset[str]:
        """Nothing: vectors are matched within tiles; without matching, all that only matching reads."""
        matching = {"similarity_threshold", "block_size", "frame_block_size", "mode"}
        return super().recorded_only(method) | matching if method.sec_only else frozenset()

    def budget(
        self, method: Focus, geometry: DecoderGeometry, sample: SampleHeader
    ) -> BudgetParameter | None:
        """Return one factor for all fractions of the schedule, cut at 1; none for an empty schedule.

        The cost turns back on the way where most vectors match: of more tokens, more are alike.
        """
        if not method.alpha_list:
            return None

        def scaled(factor: float) -> dict[str, Any]:
            return {"alpha_list": tuple(min(1.0, alpha * factor) for alpha in method.alpha_list)}

        least = 1 / (max(1, sample.visual_tokens) * max(method.alpha_list))
        return BudgetParameter(
            "schedule scale", 1.0, least, 1 / min(method.alpha_list), rises=True, parameters=scaled
        )

    def further_budgets(
        self, method: Focus, geometry: DecoderGeometry, sample: SampleHeader
    ) -> tuple[BudgetParameter, ...]:
        """Return the similarity threshold: where no schedule costs as much, fewer vectors are to match.

        Semantic and similarity concentration then save the same factor each.
        """
        if method.sec_only or method.similarity_threshold >= 1:
            return ()
        own = method.similarity_threshold
        return (
            BudgetParameter(
                "similarity_threshold",
                own,
                own,
                1.0,
                rises=True,
                parameters=lambda threshold: {"similarity_threshold": threshold},
                shares=True,
            ),
        )

    def pointer_rule(self, method: Focus, layout: SampleLayout) -> PointerRule:
        """Return offsets and rounds of the search block."""
        if layout.grid is None:
            return PointerRule((0,), 1)
        rounds = layout.grid.frames if method.mode == "compatible" else None
        return PointerRule(candidate_offsets(layout.grid, method._block), rounds)

    def published_axis(self, method: Focus, varied: Collection[str]) -> tuple[str, str] | None:
        """Return frames, rows and columns of the block as one value (Focus, HPCA 2026, Fig. 10c)."""
        if varied and set(varied) <= {"frame_block_size", "block_size"}:
            return "block_size", f"{method.frame_block_size}x{method.block_size}x{method.block_size}"
        return super().published_axis(method, varied)

    def run_notes(self, method: Focus, device: torch.device) -> tuple[str, ...]:
        """Say which kernel matches vectors."""
        note = "" if method.sec_only else matching_note(device)
        return (note,) if note else ()


@dataclass(frozen=True, kw_only=True)
class Focus(CompressionMethod):
    """Multilevel concentration of visual tokens.

    Paper: Focus, HPCA 2026, sec. IV (semantic concentration) and V (similarity concentration).
    Deviations: none in ``compatible`` mode against the published artifact, up to the order of equal
        importances (lower index first here) and of fp32 sums. ``strict`` mode is described at
        `focal_algorithm.kernels.similarity.concentrate`.

    Args:
        similarity_threshold: Cosine above which a vector is replaced, in (0, 1]. Default 0.9: published
            table.
        block_size: Rows and columns of the search block, at least 1. Default 2: published scripts.
        frame_block_size: Frames of the search block, at least 1. Default 2: published scripts.
        selected_layers: Layers after whose attention tokens are dropped; empty for none. Default: the
            artifact's default row.
        alpha_list: Fraction of the original visual tokens kept from each selected layer on.
        sec_only: Drop tokens, replace no vectors.
        mode: ``compatible`` with the published artifact, or ``strict``.
    """

    study: ClassVar[MethodStudy] = _FocusStudy(trace_folder="focus_main", no_effect=_NOTHING)

    similarity_threshold: float = 0.9
    block_size: int = 2
    frame_block_size: int = 2
    selected_layers: tuple[int, ...] = (2, 5, 8, 16, 25)
    alpha_list: tuple[float, ...] = (0.4, 0.3, 0.2, 0.15, 0.1)
    sec_only: bool = False
    mode: Literal["compatible", "strict"] = "compatible"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_threshold(self.similarity_threshold)
        check_least(self, vector_size=1, block_size=1, frame_block_size=1)
        Schedule(self.selected_layers, self.alpha_list)
        if self.m_tile < 0:  # the published scripts write -1 for one tile
            object.__setattr__(self, "m_tile", 0)

    def start(self, geometry: DecoderGeometry, layout: SampleLayout) -> FocusState:
        """Return a fresh state.

        Raises:
            ConfigError: A selected layer does not exist.
            UnsupportedError: No token follows the visual tokens.
        """
        beyond = [layer for layer in self.selected_layers if layer >= geometry.layers]
        if beyond:
            raise ConfigError(
                f"selected_layers: layer {beyond[0]} does not exist; expected layers below {geometry.layers}"
            )
        if self.selected_layers and layout.query_tokens == 0:
            raise UnsupportedError(
                f"{layout.sample_id}: no token follows the visual tokens, so Focus cannot rank them; put the "
                "question after the image or video"
            )
        if layout.grid is None:
            raise ConfigError(
                f"{layout.sample_id}: visual tokens without a grid; expected frames, rows, columns"
            )
        return FocusState(layout.grid)

    def transform(
        self, layer: int, gemm: str, values: Tensor, stream: TokenStream, state: FocusState
    ) -> GemmOutcome:
        """Replace each vector by the mean of its group; text rows stay as they are."""
        if self.sec_only:
            return GemmOutcome(values)
        done = concentrate(
            values[stream.visual_rows],
            stream.visual_positions,
            grid=state.grid,
            visual_tokens=stream.layout.visual_tokens,
            vector_size=self.vector_size,
            m_tile=self.m_tile,
            block=self._block,
            threshold=self.similarity_threshold,
            is_strict=self.mode == "strict",
            name=None,  # the host looks for NaN
            partners=state.partners,
        )
        replaced = values.index_copy(0, stream.visual_rows, done.values)
        return GemmOutcome(replaced, _full_masks(done, stream))

    def see_attention(
        self, layer: int, operands: AttentionOperands, stream: TokenStream, state: FocusState
    ) -> None:
        """Rank the visual tokens by the attention of the prompt's trailing text."""
        if layer not in self.selected_layers:
            return
        first_visual, prompt_end = stream.ranked
        state.importance = importance(
            operands.query[:, stream.query_rows],
            operands.key[:, :prompt_end],
            scaling=operands.scaling,
            mask=operands.mask_of(stream.query_rows, prompt_end),
            first_visual=first_visual,
            visual_count=len(stream.visual_rows),
            name=f"layer {layer}",
        )

    def after_attention(
        self, layer: int, hidden: Tensor, stream: TokenStream, state: FocusState
    ) -> Resequenced | None:
        """Keep the most important visual tokens and all text."""
        if layer not in self.selected_layers or state.importance is None:
            return None
        alpha = self.alpha_list[self.selected_layers.index(layer)]
        available = len(stream.visual_rows)
        count = tokens_to_keep(stream.layout.visual_tokens, alpha, available)
        ranked, state.importance = state.importance, None
        if count == available:
            return None
        return Resequenced(stream.keeping(select_top(ranked, count)))

    @property
    def _block(self) -> tuple[int, int, int]:
        return (self.frame_block_size, self.block_size, self.block_size)


def _full_masks(done: Concentration, stream: TokenStream) -> VectorMasks:
    if len(done.is_zero) == stream.layout.visual_tokens:  # in order of position, and none is missing
        return VectorMasks(done.is_zero, done.is_similar, done.winner)
    shape = (stream.layout.visual_tokens, done.is_zero.shape[1])
    where = stream.visual_positions
    device = done.is_zero.device
    is_zero = torch.ones(shape, dtype=torch.bool, device=device)
    is_similar = torch.zeros(shape, dtype=torch.bool, device=device)
    winner = torch.full(shape, NO_WINNER, dtype=torch.uint8, device=device)
    is_zero[where], is_similar[where], winner[where] = done.is_zero, done.is_similar, done.winner
    return VectorMasks(is_zero, is_similar, winner)


@cache
def _published_rows() -> dict[Key, ScheduleRow]:
    """Table of the published Focus artifact (Focus, HPCA 2026, sec. VII-A)."""
    with as_file(files("focal_algorithm.methods") / "focus_schedules.csv") as path:
        return SCHEDULES.read(path)
