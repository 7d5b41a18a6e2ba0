"""The header of a trace, field by field: what was run, on what, and how tokens and GEMMs are laid out.

Field names and meanings are the file format. A change of meaning raises `SCHEMA_VERSION`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator, model_validator

from focal_common.config import StrictModel
from focal_common.places import PlainName, PlainPath
from focal_common.provenance import Origin
from focal_traces.model_shape.geometry import QWEN2_7B, DecoderGeometry, Width
from focal_traces.model_shape.model_shape import ModelShape

__all__ = [
    "GEMMS",
    "MOST_TOKENS",
    "QWEN2_7B",
    "SCHEMA_VERSION",
    "DecoderGeometry",
    "SampleHeader",
    "TokenGrid",
    "TraceHeader",
    "slices_per_token",
]

_MOST_PROMPT_TOKENS = 1 << 24
"""Of text and pictures: the longest prompts that models are made for have ten million."""
MOST_TOKENS = 1 << 20
"""Of pictures: their square times the width and depth of a 7B model stays within 64 bits."""
Tokens = Annotated[PositiveInt, Field(le=MOST_TOKENS)]

SCHEMA_VERSION = 2
"""The newest that is read. A trace is written as the oldest that can say it: 2 where a prompt has several pictures."""

GEMMS = ("q_proj", "query", "o_proj", "gate_proj", "down_proj")
"""Recorded GEMM inputs in order of computation inside a layer; a GEMM's code in a trace is its place here.

``q_proj`` stands for the shared input of the Q, K and V projections, ``query`` for the left operand of
Q x K^T (all heads side by side), ``gate_proj`` for the shared input of gate and up.
"""


def slices_per_token(width_elements: int, vector_size: int) -> int:
    """Return V, the number of vectors of ``vector_size`` elements in a token, the last one zero-padded."""
    return -(-width_elements // vector_size)


class TokenGrid(StrictModel):
    """How the visual tokens of one sample lie in space and time, in units of tokens.

    Attributes:
        frames: N. rows: H. columns: W.
        frame_stride: Distance between the same place of two frames.
        row_stride: Distance between two rows.
        column_stride: Distance between two columns.
    """

    frames: Tokens
    rows: Tokens
    columns: Tokens
    frame_stride: Tokens
    row_stride: Tokens
    column_stride: Tokens


class PictureSpan(StrictModel):
    """One image or video of a prompt that holds several; fields as in `SampleHeader`."""

    visual_start: NonNegativeInt
    visual_tokens: Tokens
    grid: TokenGrid | None


class SampleHeader(StrictModel):
    """One prefill.

    Attributes:
        sample_id: Name of the document or file, unique in the trace.
        sequence_tokens: L, text and visual tokens.
        visual_start: a, index of the first visual token.
        visual_tokens: S. Zero means the prompt had no image and the method passed it through.
        grid: Layout of the visual tokens; None if there are none, or several pictures.
        pictures: Of a prompt with several images or videos, in order, where each lies; ``visual_tokens`` is their sum,
            and rows of counts are those of one after those of the other. Empty otherwise. Since schema 2.
        weighted_sparsity: The published selection metric (Focus artifact, paper section VII-A); None if not
            computed.
    """

    sample_id: PlainPath
    sequence_tokens: Annotated[PositiveInt, Field(le=_MOST_PROMPT_TOKENS)]
    visual_start: NonNegativeInt
    visual_tokens: Annotated[NonNegativeInt, Field(le=MOST_TOKENS)]
    grid: TokenGrid | None
    pictures: tuple[PictureSpan, ...] = ()
    weighted_sparsity: float | None = None

    @model_validator(mode="after")
    def _range_fits(self) -> SampleHeader:
        if self.visual_start + self.visual_tokens > self.sequence_tokens:
            raise ValueError(
                f"visual range [{self.visual_start}, {self.visual_start + self.visual_tokens}) "
                f"must lie within sequence_tokens ({self.sequence_tokens})"
            )
        stop = self.visual_start
        for number, picture in enumerate(self.pictures):
            if (
                picture.visual_start < stop
                or picture.visual_start + picture.visual_tokens > self.sequence_tokens
            ):
                raise ValueError(f"pictures[{number}] must follow the one before it within sequence_tokens")
            stop = picture.visual_start + picture.visual_tokens
        if self.pictures and sum(picture.visual_tokens for picture in self.pictures) != self.visual_tokens:
            raise ValueError(f"pictures must have visual_tokens ({self.visual_tokens}) together")
        return self

    @property
    def query_tokens(self) -> int:
        """T, tokens after the visual range, or after the last of several pictures."""
        last = self.pictures[-1] if self.pictures else self
        return self.sequence_tokens - last.visual_start - last.visual_tokens


class TraceHeader(StrictModel):
    """Everything a reader must know besides the numbers.

    Attributes:
        schema_version: Version of this format: 2 where a prompt holds several pictures, else 1.
        model: Registry name of the model family, such as ``llava_onevision``.
        checkpoint: Hub name with revision, folder name, or ``"random:<seed>"`` for seeded weights.
        dataset: Name of the task or of the input files.
        geometry: Decoder shape.
        method: Registry name of the compression method; ``dense`` for none.
        parameters: The method's hyper-parameters, JSON-like.
        mode: ``compatible`` (published quirks kept) or ``strict``.
        vector_size: Elements per vector.
        m_tile: Tokens per m-tile; 0 means one tile of any length.
        samples: One entry per prefill, in order.
        median_index: Sample of median weighted sparsity; None where not selected.
        origin: Whether the counts were measured in a forward or synthesised.
        seed: Seed of weights and inputs.
        versions: Installed versions that matter.
        model_shape: The whole model around the decoder, for the first sample; None where not recorded.
        notes: Free text for a reader, such as the label of a calibration.
        quantization: Arithmetic of the linear layers; empty for the checkpoint's own. Absent from files where
            it is empty, so that readers of before it still read them.
    """

    schema_version: Literal[1, 2] = 1
    model: PlainName
    checkpoint: str
    dataset: PlainName
    geometry: DecoderGeometry
    method: PlainName
    parameters: dict[str, Any]
    mode: Literal["compatible", "strict"] = "compatible"
    vector_size: Width
    m_tile: Annotated[NonNegativeInt, Field(le=MOST_TOKENS)]
    samples: tuple[SampleHeader, ...] = Field(min_length=1, max_length=100_000)
    median_index: NonNegativeInt | None = None
    origin: Origin = "measured"
    seed: int | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    model_shape: ModelShape | None = None
    notes: str = ""
    quantization: str = ""

    @field_validator("parameters")
    @classmethod
    def _lists_are_of_one_type(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name, one in value.items():
            kinds = (
                {float if type(part) is int else type(part) for part in one} if isinstance(one, list) else ()
            )
            if len(kinds) > 1:
                raise ValueError(f"'{name}' is {one!r:.80}, expected a list of one type")
        return value

    @model_validator(mode="after")
    def _version_fits(self) -> TraceHeader:
        if any(sample.pictures for sample in self.samples) and self.schema_version < 2:
            raise ValueError("schema_version must be 2, because a sample holds several pictures")
        return self

    def slices(self, gemm: str) -> int:
        """Return V, vectors per token, of a GEMM named in `GEMMS`."""
        return slices_per_token(self.geometry.input_elements(gemm), self.vector_size)
