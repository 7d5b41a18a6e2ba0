"""One row to simulate: a model on a dataset with its geometry, its token grid and its sparsities; or given GEMMs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import TraceError
from focal_common.provenance import Origin
from focal_traces.counts.trace import GemmTotals, TileCounts
from focal_traces.header.published import MAIN_FOLDER
from focal_traces.header.schema import GEMMS, QWEN2_7B, DecoderGeometry, slices_per_token
from focal_traces.model_shape.model_shape import ModelShape
from focal_traces.synthetic.schedule import Schedule, tokens_per_gemm
from focal_traces.tables.table import PairTable

_VECTOR_ELEMENTS = 32


T = TypeVar("T")

CountOrigin = Origin | Literal["given"]
"""How the numbers of a workload came to be; ``given`` are GEMMs that a user lists."""


@dataclass(frozen=True, eq=False)
class Workload:
    """One prefill to simulate: visual tokens only, batch 1; or, in its place, operators that are given.

    It equals only itself, so that it can be part of a key.

    Attributes:
        model: Model name, as in ``meta_data.csv``.
        dataset: Dataset name.
        visual_tokens: S.
        frames: F.
        patches: P, tokens per frame.
        geometry: Decoder shape.
        counts: Vector counts of a trace; None where the method left none.
        tiles: Counts of every tile and slice, fidelity ``cycle``; None where the method left none.
        tables: Rows of the workload in tables that methods wrote, by file; see `row`.
        origin: How the vector counts came to be.
        table_origin: How the grid and the tables of methods came to be.
        variant: Trace folder, such as the main one.
        recorded_m_tile: Tokens per m-tile of the trace, 0 for one tile; None without a trace.
        recorded_vector_size: Elements per vector of the trace; None without a trace.
        shape: Shape of the whole model and of the prompt, if the trace knows it.
        method: Method that left the counts; empty without a trace.
        parameters: Its hyper-parameters, as far as the trace knows them.
        quantization: Arithmetic of the linear layers in the traced forward; empty for the checkpoint's own.
        operators: `focal_simulator.whole_model.operator.Operator`, in order, in place of the prefill: then there are no
            tokens, and no counts. Empty for a prefill.
        batch: Prompts of these lengths and counts side by side; of a prefill.
    """

    model: str
    dataset: str
    visual_tokens: int
    frames: int
    patches: int
    geometry: DecoderGeometry = QWEN2_7B
    counts: GemmTotals | None = None
    tiles: TileCounts | None = None
    tables: Mapping[str, Any] = field(default_factory=dict)
    origin: CountOrigin = "published"
    table_origin: CountOrigin = "published"
    variant: str = MAIN_FOLDER
    recorded_m_tile: int | None = None
    recorded_vector_size: int | None = None
    shape: ModelShape | None = None
    method: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    quantization: str = ""
    operators: tuple[Any, ...] = ()  # of a room above this one
    batch: int = 1

    def __post_init__(self) -> None:
        if self.visual_tokens < self.frames * self.patches:
            raise TraceError(
                f"{self.label}: {self.visual_tokens} tokens are fewer than "
                f"{self.frames} frames x {self.patches} patches"
            )
        if self.counts is not None:
            self._check_counts(self.counts)

    @property
    def label(self) -> str:
        """Model and dataset, for messages."""
        return f"{self.model}/{self.dataset}"

    @property
    def kept_tokens(self) -> NDArray[np.int64]:
        """Visual tokens that a method left, all where there are no counts; axes (blocks, GEMMs of a trace)."""
        if self.counts is not None:
            return self.counts.tokens
        return np.full((self.geometry.layers, len(GEMMS)), self.visual_tokens, dtype=np.int64)

    def origin_for(self, uses_counts: bool) -> CountOrigin:
        """Return the origin of a result that depends on the counts, or on the tables alone."""
        return self.origin if uses_counts and self.counts is not None else self.table_origin

    def _check_counts(self, counts: GemmTotals) -> None:
        if counts.visual_tokens != self.visual_tokens:
            raise TraceError(
                f"{self.label}: the trace holds {counts.visual_tokens} visual tokens, "
                f"the workload table {self.visual_tokens}"
            )
        expected = (self.geometry.layers, len(GEMMS))
        if counts.tokens.shape != expected:
            raise TraceError(
                f"{self.label}: the trace has counts of {counts.tokens.shape} (layers, GEMMs), "
                f"expected {expected} from its decoder geometry"
            )

    @classmethod
    def given(cls, model: str, operators: tuple[Any, ...]) -> Workload:
        """Return a workload of operators that a user gave, under a name."""
        return cls(model, "gemms", 0, 0, 0, origin="given", table_origin="given", operators=operators)

    def row(self, table: PairTable[T]) -> T | None:
        """Return what a table of the trace root says of the workload; None where it says nothing."""
        return self.tables.get(table.file)

    def with_schedule_counts(self, schedule: Schedule) -> Workload:
        """Return the workload with counts of a token schedule alone, without any similarity."""
        counts = totals_from_schedule(self.geometry, self.visual_tokens, schedule)
        return replace(self, counts=counts, tiles=None)


def totals_from_schedule(
    geometry: DecoderGeometry,
    visual_tokens: int,
    schedule: Schedule,
    vector_size: int = _VECTOR_ELEMENTS,
) -> GemmTotals:
    """Return the counts of token dropping alone: every vector of a live token is unique.

    Args:
        geometry: Decoder shape.
        visual_tokens: S.
        schedule: When tokens are dropped.
        vector_size: Elements per vector.
    """
    tokens = tokens_per_gemm(schedule, geometry.layers, visual_tokens)
    widths = [slices_per_token(geometry.input_elements(name), vector_size) for name in GEMMS]
    slices = np.broadcast_to(np.array([widths], dtype=np.int64), tokens.shape)
    vectors = tokens * slices
    return GemmTotals(
        tokens=tokens, vectors=vectors, unique=vectors, slices=slices, visual_tokens=visual_tokens
    )
