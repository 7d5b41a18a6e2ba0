"""What a compression method is: frozen parameters, a state per prompt, and operations on plain tensors.

A method never sees a Hugging Face object, a batch axis or padding: `focal_algorithm.hooks` hands it the
tokens of one prompt at a time and carries its decisions out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from focal_algorithm.layout import SampleLayout
from focal_algorithm.methods.knobs import MatchKnob
from focal_algorithm.pictures import CompressedPicture, TowerPicture
from focal_traces.pointers import PointerRule
from focal_traces.records import Record
from focal_traces.schema import DecoderGeometry, SampleHeader

__all__ = [
    "CompressionMethod",
    "GemmOutcome",
    "HookPoint",
    "Resequenced",
    "TokenStream",
    "VectorMasks",
    "zero_vectors",
]


class HookPoint(Enum):
    """Places in a decoder where a method may act, with the operation the hooks call there."""

    GEMM_INPUT = "transform"
    ATTENTION_OPERANDS = "attend"
    ATTENTION_PROBABILITIES = "replace_probabilities"
    VISION_OUTPUT = "compress_visual"
    ROTARY_TABLES = "see_rotary"
    LAYER_INPUT = "resequence, before a layer"
    AFTER_ATTENTION = "resequence, between attention and MLP of a layer"


@dataclass(frozen=True)
class TokenStream:
    """Which tokens of a prompt are present at one point of the decoder.

    Attributes:
        layout: Layout of the whole prompt.
        token_ids: Index of each present token in the whole prompt, axes (tokens), int64. Ids from
            ``layout.sequence_tokens`` on are tokens generated without a cache.
        visual_rows: Rows of ``token_ids`` inside the visual range, axes (visual tokens present), int64.
        visual_positions: Their places in the visual range, 0 to S - 1, same axes; ascending unless a method
            put merged tokens behind the kept ones.
        query_rows: Rows of the prompt's tokens after the visual range, axes (T), int64.
    """

    layout: SampleLayout
    token_ids: Tensor
    visual_rows: Tensor
    visual_positions: Tensor
    query_rows: Tensor

    @classmethod
    def of(cls, layout: SampleLayout, token_ids: Tensor) -> TokenStream:
        """Build the stream of the tokens ``token_ids``."""
        is_visual = (token_ids >= layout.visual_start) & (token_ids < layout.visual_stop)
        is_query = (token_ids >= layout.visual_stop) & (token_ids < layout.sequence_tokens)
        visual_rows = is_visual.nonzero().flatten()
        return cls(
            layout=layout,
            token_ids=token_ids,
            visual_rows=visual_rows,
            visual_positions=token_ids[visual_rows] - layout.visual_start,
            query_rows=is_query.nonzero().flatten(),
        )


@dataclass(frozen=True)
class VectorMasks:
    """What a method did to the vectors of one GEMM input.

    Attributes:
        is_zero: Vectors that are all zero, pruned tokens included, axes (S, slices), bool.
        is_similar: Vectors replaced by a representative, same axes, disjoint from ``is_zero``.
        winner: Winning candidate of each similar vector, same axes, uint8; see `CompressionMethod.pointer_rule`.
        token: Visual token that stands for each vector, same axes, int64, for methods whose representatives
            are not at fixed distances; ``winner`` is then unused.
    """

    is_zero: Tensor
    is_similar: Tensor
    winner: Tensor
    token: Tensor | None = None


@dataclass(frozen=True)
class GemmOutcome:
    """Result of `CompressionMethod.transform`.

    Attributes:
        values: New GEMM input, axes (tokens, width).
        masks: None where nothing was replaced; the recorder then looks for zero vectors itself.
    """

    values: Tensor
    masks: VectorMasks | None = None


@dataclass(frozen=True)
class Resequenced:
    """A shorter (or reordered) token sequence.

    Attributes:
        rows: Source row of each remaining token, axes (tokens), int64. Position, mask and cache place of a
            token follow its source row.
        hidden: New residual stream, axes (tokens, hidden); None to take the source rows unchanged.
        merged_into: Source row that stands for each source row, -1 where nothing does, axes (source tokens),
            int64; None if every row that does not remain was dropped. Recorded, not acted upon.
        made_of: For each source row whose place a new token takes, how many tokens that is the sum or mean of, 0
            where it holds none of the prompt's (CLS), -1 elsewhere, axes (source tokens), int64; None for -1
            everywhere. Recorded, not acted upon.
    """

    rows: Tensor
    hidden: Tensor | None = None
    merged_into: Tensor | None = None
    made_of: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class CompressionMethod(ABC):
    """Base of all methods: a frozen dataclass whose fields are the hyper-parameters.

    Life: `start` once per prompt at the start of its prefill; then, layer by layer, the operations of the
    declared hook points. Decode steps are never shown to a method. Default operations change nothing.

    Attributes:
        name: Registry name.
        paper: Authors, venue, year and DOI or arXiv number; sections implemented.
        hook_points: Where the method acts.
        changes_length: Whether `resequence` may drop tokens.
        trace_folder: Folder of its traces below a trace root.
        vector_size: Elements per recorded vector.
        m_tile: Tokens per m-tile; 0 for a single tile.
        budget_fields: Hyper-parameters that state a budget together. Where a user sets one of them, `fitted` values
            of the others are left out: a budget that is half ours would be neither.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    hook_points: ClassVar[frozenset[HookPoint]]
    changes_length: ClassVar[bool]
    trace_folder: ClassVar[str]
    budget_fields: ClassVar[frozenset[str]] = frozenset()

    vector_size: int = 32
    m_tile: int = 1024

    @property
    def trace_mode(self) -> Literal["compatible", "strict"]:
        """How the trace header calls the rules in force."""
        return "compatible"

    @property
    def renumbers_positions(self) -> bool:
        """Whether positions count up without gaps after a drop; otherwise tokens keep theirs.

        Where positions have several axes (multimodal rotary embedding), tokens always keep theirs.
        """
        return False

    @property
    def reads_question(self) -> bool:
        """Whether what becomes of the visual tokens may depend on the text after them.

        Where it does not, one prefill of a picture serves many questions about it.
        """
        return True

    @property
    def recorded_only(self) -> frozenset[str]:
        """Fields that change what a trace counts and no answer."""
        return frozenset({"vector_size", "m_tile"})

    def published_axis(self, fields: Collection[str]) -> tuple[str, str] | None:
        """Return how published tables of design points spell fields that vary: axis, and value here.

        Args:
            fields: Of this class.

        Returns:
            None where they have no spelling of their own.
        """
        if set(fields) == {"m_tile"}:
            return "m_tile_size", str(self.m_tile if self.m_tile > 0 else -1)
        return None

    @property
    def tower_layers(self) -> tuple[int, ...]:
        """Layers of the vision tower that `compress_visual` is shown, relative to the one the projector takes."""
        return (0,)

    @classmethod
    def published(cls, model: str, dataset: str) -> dict[str, Any]:
        """Return the published hyper-parameters for a (model, dataset) pair; empty if there are none."""
        return {}

    @classmethod
    def without_effect(cls) -> dict[str, Any]:
        """Return hyper-parameters at which the method changes nothing, to the last bit of the logits."""
        return {}

    @classmethod
    def fitted(cls, geometry: DecoderGeometry) -> dict[str, Any]:
        """Return defaults that must follow the decoder or the prompt; empty where the plain defaults fit.

        `focal_algorithm.methods.build.fitted_parameters` says which of them stand beside a user's own.
        """
        return {}

    def match_knob(self, geometry: DecoderGeometry, sample: SampleHeader) -> MatchKnob | None:
        """Return the knob that sets the method's budget on a prompt; None where there is none.

        Args:
            geometry: Decoder shape.
            sample: Layout of a prompt that ran with the parameters in force.
        """
        return None

    def further_knobs(self, geometry: DecoderGeometry, sample: SampleHeader) -> tuple[MatchKnob, ...]:
        """Return knobs that reach budgets beyond those of `match_knob`, in the order in which to try them.

        Args:
            geometry: Decoder shape.
            sample: As for `match_knob`; the parameters in force are those at the end of its range, on the side of the
                budget.
        """
        return ()

    def run_notes(self, device: torch.device) -> tuple[str, ...]:
        """Return sentences on how a run on this device is computed, such as the kernel in use; none by default."""
        return ()

    @abstractmethod
    def start(self, geometry: DecoderGeometry, layout: SampleLayout) -> Any:
        """Return the fresh state of one prompt.

        Raises:
            FocalError: The method cannot work on this prompt; the sentence says why.
        """

    def pointer_rule(self, layout: SampleLayout) -> PointerRule:
        """Return what the ``winner`` codes of `VectorMasks` mean."""
        return PointerRule((0,), 1)

    def probability_layers(self, layers: int) -> range:
        """Return the layers where `replace_probabilities` acts; the others keep their fused attention."""
        return range(layers)

    def records(self, state: Any) -> Sequence[Record]:
        """Return what the method decided during a finished prefill, beside what every method's trace holds.

        Token counts, kept tokens and merge maps of `resequence` are recorded by the hooks already.
        """
        return ()

    def summary(self, state: Any) -> dict[str, float]:
        """Return the figures by which the method's paper or artifact sums up one prefill; empty for none."""
        return {}

    def write_tables(
        self, root: Path, model: str, dataset: str, summaries: Sequence[Mapping[str, float]]
    ) -> dict[str, Path]:
        """Write the method's own tables of a trace root.

        Args:
            root: Trace root.
            model: Model family.
            dataset: Name under which results are filed.
            summaries: See `summary`; one per prefill with visual tokens.

        Returns:
            Files by role; empty for none.
        """
        return {}

    def transform(
        self, layer: int, gemm: str, values: Tensor, stream: TokenStream, state: Any
    ) -> GemmOutcome:
        """Replace the input of a GEMM.

        Args:
            layer: Decoder layer.
            gemm: Name in `focal_traces.schema.GEMMS`.
            values: Axes (tokens, width); for ``query`` all heads side by side.
            stream: Tokens present.
            state: State of this prompt.
        """
        return GemmOutcome(values)

    def attend(  # noqa: B027 - optional, unlike `start`
        self, layer: int, query: Tensor, key: Tensor, scaling: float, stream: TokenStream, state: Any
    ) -> None:
        """Look at the operands of the attention of a layer, after the position embedding.

        Args:
            layer: Decoder layer.
            query: Axes (heads, tokens, head_dim), after `transform`.
            key: Axes (kv_heads, tokens, head_dim).
            scaling: Factor of the scores.
            stream: Tokens present.
            state: State of this prompt.
        """

    def compress_visual(self, picture: TowerPicture, state: Any) -> CompressedPicture | None:
        """Keep and merge the visual tokens of one picture; None to leave it as it is.

        Called for every picture of a prompt before its first decoder layer.
        """
        return None

    def see_rotary(  # noqa: B027 - optional, unlike `start`
        self, layer: int, cos: Tensor, sin: Tensor, stream: TokenStream, state: Any
    ) -> None:
        """Look at the rotary tables of the tokens present at a layer.

        Axes (tokens, head_dim); where positions have several axes, they come first.
        """

    def replace_probabilities(
        self, layer: int, first_head: int, probabilities: Tensor, stream: TokenStream, state: Any
    ) -> Tensor:
        """Replace the softmax output of some heads of a layer.

        Args:
            layer: Decoder layer, one of `probability_layers`.
            first_head: Number of the first of the heads given; heads come in order.
            probabilities: Axes (heads, tokens, tokens); may be changed in place.
            stream: Tokens present.
            state: State of this prompt.

        Returns:
            Same axes.
        """
        return probabilities

    def resequence(
        self, point: HookPoint, layer: int, hidden: Tensor, stream: TokenStream, state: Any
    ) -> Resequenced | None:
        """Drop or merge tokens.

        Args:
            point: `HookPoint.LAYER_INPUT` or `HookPoint.AFTER_ATTENTION`.
            layer: Decoder layer.
            hidden: Residual stream, axes (tokens, hidden).
            stream: Tokens present.
            state: State of this prompt.

        Returns:
            None to leave the sequence as it is.
        """
        return None


def zero_vectors(values: Tensor, stream: TokenStream, vector_size: int) -> Tensor:
    """Return which vectors of the visual range are all zero; absent tokens count as zero.

    Args:
        values: Axes (tokens, width).
        stream: Tokens present.
        vector_size: Elements per vector; the last vector of a token may be shorter.

    Returns:
        Axes (S, slices), bool.
    """
    width = values.shape[-1]
    slices = -(-width // vector_size)
    present = values[stream.visual_rows] != 0
    padded = torch.nn.functional.pad(present, (0, slices * vector_size - width))
    is_zero = torch.ones(stream.layout.visual_tokens, slices, dtype=torch.bool, device=values.device)
    is_zero[stream.visual_positions] = ~padded.view(-1, slices, vector_size).any(dim=-1)
    return is_zero
