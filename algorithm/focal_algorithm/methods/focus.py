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
from focal_algorithm.kernels.matches import matching_note
from focal_algorithm.kernels.retention import select_top, tokens_to_keep
from focal_algorithm.kernels.similarity import (
    NO_WINNER,
    Concentration,
    check_threshold,
    concentrate,
)
from focal_algorithm.layout import SampleLayout
from focal_algorithm.methods.base import (
    CompressionMethod,
    GemmOutcome,
    HookPoint,
    Resequenced,
    TokenStream,
    VectorMasks,
)
from focal_algorithm.methods.knobs import MatchKnob
from focal_common.errors import ConfigError, UnsupportedError
from focal_traces.pointers import PointerRule, candidate_offsets
from focal_traces.schedule import Schedule
from focal_traces.schema import DecoderGeometry, SampleHeader, TokenGrid
from focal_traces.tables import Key, ScheduleRow, read_schedules

__all__ = ["Focus", "FocusState"]

_SCHEDULE_LAYERS = 28  # decoder layers of every model of the published tables


@dataclass
class FocusState:
    """What Focus remembers between the layers of one prefill.

    Attributes:
        grid: Layout of the visual tokens.
        importance: Of the visual tokens present, axes (visual tokens present); None before a selected layer.
        partners: Of the tokens present; they change only where tokens are dropped.
    """

    grid: TokenGrid
    importance: Tensor | None = field(default=None)
    partners: PartnerRows = field(default_factory=PartnerRows)


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

    name: ClassVar[str] = "focus"
    paper: ClassVar[str] = "Focus, HPCA 2026, sec. IV and V"
    hook_points: ClassVar[frozenset[HookPoint]] = frozenset(
        {HookPoint.GEMM_INPUT, HookPoint.ATTENTION_OPERANDS, HookPoint.AFTER_ATTENTION}
    )
    changes_length: ClassVar[bool] = True
    trace_folder: ClassVar[str] = "focus_main"

    similarity_threshold: float = 0.9
    block_size: int = 2
    frame_block_size: int = 2
    selected_layers: tuple[int, ...] = (2, 5, 8, 16, 25)
    alpha_list: tuple[float, ...] = (0.4, 0.3, 0.2, 0.15, 0.1)
    sec_only: bool = False
    mode: Literal["compatible", "strict"] = "compatible"

    def __post_init__(self) -> None:
        check_threshold(self.similarity_threshold)
        if self.vector_size < 1:
            raise ConfigError(f"vector_size must be at least 1, got {self.vector_size}")
        if self.mode not in ("compatible", "strict"):
            raise ConfigError(f"mode must be compatible or strict, got '{self.mode}'")
        for name in ("block_size", "frame_block_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        Schedule(self.selected_layers, self.alpha_list)
        if self.m_tile < 0:  # the published scripts write -1 for one tile
            object.__setattr__(self, "m_tile", 0)

    @property
    def trace_mode(self) -> Literal["compatible", "strict"]:
        """Rules in force."""
        return self.mode

    @classmethod
    def published(cls, model: str, dataset: str) -> dict[str, Any]:
        """Return schedule and threshold of the published table; empty if the pair is not in it."""
        row = _published_rows().get((model, dataset))
        if row is None:
            return {}
        return {
            "selected_layers": row.schedule.layers,
            "alpha_list": row.schedule.alphas,
            "similarity_threshold": row.similarity_threshold,
        }

    @property
    def recorded_only(self) -> frozenset[str]:
        """Nothing: vectors are matched within tiles; without matching, all that only matching reads."""
        matching = {"similarity_threshold", "block_size", "frame_block_size", "mode"}
        return super().recorded_only | matching if self.sec_only else frozenset()

    def published_axis(self, fields: Collection[str]) -> tuple[str, str] | None:
        """Return frames, rows and columns of the block as one value (Focus, HPCA 2026, Fig. 10c)."""
        if fields and set(fields) <= {"frame_block_size", "block_size"}:
            return "block_size", f"{self.frame_block_size}x{self.block_size}x{self.block_size}"
        return super().published_axis(fields)

    @classmethod
    def without_effect(cls) -> dict[str, Any]:
        """Return an empty schedule and a block in which a vector meets only itself."""
        nothing: dict[str, Any] = {"selected_layers": (), "alpha_list": ()}
        return nothing | {"similarity_threshold": 1.0, "block_size": 1, "frame_block_size": 1}

    @classmethod
    def fitted(cls, geometry: DecoderGeometry) -> dict[str, Any]:
        """Return the default schedule moved to the same relative depth, where the decoder has not 28 layers."""
        if geometry.layers == _SCHEDULE_LAYERS:
            return {}
        # A shallow decoder maps several layers to one; the later, stronger pruning holds there.
        moved = {
            layer * geometry.layers // _SCHEDULE_LAYERS: alpha
            for layer, alpha in zip(cls.selected_layers, cls.alpha_list, strict=True)
        }
        return {"selected_layers": tuple(moved), "alpha_list": tuple(moved.values())}

    def match_knob(self, geometry: DecoderGeometry, sample: SampleHeader) -> MatchKnob | None:
        """Return one factor for all fractions of the schedule, cut at 1; none for an empty schedule.

        The cost turns back on the way where most vectors match: of more tokens, more are alike.
        """
        if not self.alpha_list:
            return None

        def scaled(factor: float) -> dict[str, Any]:
            return {"alpha_list": tuple(min(1.0, alpha * factor) for alpha in self.alpha_list)}

        least = 1 / (max(1, sample.visual_tokens) * max(self.alpha_list))
        return MatchKnob(
            "schedule scale", 1.0, least, 1 / min(self.alpha_list), rises=True, parameters=scaled
        )

    def further_knobs(self, geometry: DecoderGeometry, sample: SampleHeader) -> tuple[MatchKnob, ...]:
        """Return the similarity threshold: where no schedule costs as much, fewer vectors are to match.

        Semantic and similarity concentration then save the same factor each.
        """
        if self.sec_only or self.similarity_threshold >= 1:
            return ()
        own = self.similarity_threshold
        return (
            MatchKnob(
                "similarity_threshold",
                own,
                own,
                1.0,
                rises=True,
                parameters=lambda threshold: {"similarity_threshold": threshold},
                shares=True,
            ),
        )

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

    def run_notes(self, device: torch.device) -> tuple[str, ...]:
        """Say which kernel matches vectors."""
        note = "" if self.sec_only else matching_note(device)
        return (note,) if note else ()

    def pointer_rule(self, layout: SampleLayout) -> PointerRule:
        """Return offsets and rounds of the search block."""
        if layout.grid is None:
            return PointerRule((0,), 1)
        rounds = layout.grid.frames if self.mode == "compatible" else None
        return PointerRule(candidate_offsets(layout.grid, self._block), rounds)

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
            name=f"layer {layer}, {gemm}",
            partners=state.partners,
        )
        replaced = values.index_copy(0, stream.visual_rows, done.values)
        return GemmOutcome(replaced, _full_masks(done, stream))

    def attend(
        self, layer: int, query: Tensor, key: Tensor, scaling: float, stream: TokenStream, state: FocusState
    ) -> None:
        """Rank the visual tokens by the attention of the prompt's trailing text."""
        if layer not in self.selected_layers:
            return
        prompt_end = int(stream.query_rows[-1]) + 1
        state.importance = importance(
            query[:, stream.query_rows],
            key[:, :prompt_end],
            scaling=scaling,
            first_visual=int(stream.visual_rows[0]),
            visual_count=len(stream.visual_rows),
            name=f"layer {layer}",
        )

    def resequence(
        self, point: HookPoint, layer: int, hidden: Tensor, stream: TokenStream, state: FocusState
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
        is_kept = torch.ones(len(stream.token_ids), dtype=torch.bool, device=hidden.device)
        is_kept[stream.visual_rows] = False
        is_kept[stream.visual_rows[select_top(ranked, count)]] = True
        return Resequenced(is_kept.nonzero().flatten())

    @property
    def _block(self) -> tuple[int, int, int]:
        return (self.frame_block_size, self.block_size, self.block_size)


def _full_masks(done: Concentration, stream: TokenStream) -> VectorMasks:
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
        return read_schedules(path)
