"""The shape of a whole vision-language model and of one prompt to it: what a simulator needs, and no weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from focal_common.config import StrictModel
from focal_traces.model_shape.geometry import DecoderGeometry

Activation = Literal["gelu", "quick_gelu", "silu"]
Norm = Literal["layernorm", "rmsnorm"]


class VisionTower(StrictModel):
    """A vision transformer over patches, one picture at a time.

    Attributes:
        kind: Family of the tower, such as ``siglip``, ``clip`` or ``qwen2_5_vl``.
        layers: Layers that run, those after the selected feature included where the model runs them.
        hidden_elements: Width of the residual stream.
        intermediate_elements: Width of the MLP.
        heads: Attention heads; divides ``hidden_elements``.
        patch_pixels: Side of a patch.
        channels: Colour channels.
        frames_per_patch: Video frames that one patch spans.
        patch_rows: Patches down a picture.
        patch_columns: Patches across a picture.
        class_tokens: 1 for a CLS token.
        is_mlp_gated: Whether the MLP has a gate beside the up projection.
        activation: Of the MLP.
        norm: Kind of normalisation.
        norms_outside_layers: Normalisations over all tokens before the first and after the last layer.
        has_rope: Whether queries and keys are rotated; if not, a position table is added to the patches.
        window_patches: Side of an attention window; None for attention over the whole picture everywhere.
        full_attention_layers: Layers without windows; only with ``window_patches``.
    """

    kind: str
    layers: PositiveInt
    hidden_elements: PositiveInt
    intermediate_elements: PositiveInt
    heads: PositiveInt
    patch_pixels: PositiveInt
    channels: PositiveInt = 3
    frames_per_patch: PositiveInt = 1
    patch_rows: PositiveInt
    patch_columns: PositiveInt
    class_tokens: NonNegativeInt = 0
    is_mlp_gated: bool = False
    activation: Activation = "gelu"
    norm: Norm = "layernorm"
    norms_outside_layers: NonNegativeInt = 1
    has_rope: bool = False
    window_patches: PositiveInt | None = None
    full_attention_layers: tuple[NonNegativeInt, ...] = ()

    @model_validator(mode="after")
    def _is_consistent(self) -> VisionTower:
        if self.hidden_elements % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide hidden_elements ({self.hidden_elements})")
        if self.full_attention_layers and max(self.full_attention_layers) >= self.layers:
            raise ValueError(f"full_attention_layers must lie below layers ({self.layers})")
        if self.window_patches is not None and self.class_tokens:
            raise ValueError("windows and a class token do not go together")
        return self

    @property
    def head_dim_elements(self) -> int:
        """Width of one head."""
        return self.hidden_elements // self.heads

    @property
    def patches(self) -> int:
        """Patches of a picture."""
        return self.patch_rows * self.patch_columns

    @property
    def tokens(self) -> int:
        """Tokens of a picture, the class token included."""
        return self.patches + self.class_tokens

    @property
    def patch_elements(self) -> int:
        """Inputs of the patch embedding: K of its GEMM."""
        return self.channels * self.frames_per_patch * self.patch_pixels**2

    def attention_segments(self, layer: int) -> tuple[tuple[int, int], ...]:
        """Return (tokens, segments) of a picture that attend among themselves in a layer.

        Windows at the lower and right edge are cut off, as Qwen2.5-VL does.
        """
        if self.window_patches is None or layer in self.full_attention_layers:
            return ((self.tokens, 1),)
        segments: dict[int, int] = {}
        for rows, down in _cut(self.patch_rows, self.window_patches):
            for columns, across in _cut(self.patch_columns, self.window_patches):
                segments[rows * columns] = segments.get(rows * columns, 0) + down * across
        return tuple(sorted(segments.items(), reverse=True))


class Projector(StrictModel):
    """What turns the features of a picture into tokens of the decoder.

    Attributes:
        kind: ``mlp``: two GEMMs; ``merger``: a normalisation, then two GEMMs over neighbouring patches side by
            side; ``linear``: one GEMM over neighbouring patches side by side; ``resampler``: cross-attention of a fixed
            number of learnt queries, then one GEMM.
        input_elements: Width of a feature vector of the tower, all selected layers side by side.
        hidden_elements: Width after the first GEMM; of the attention in a resampler; unused with one GEMM.
        output_elements: Width of the decoder.
        merged_patches: Patches side by side in one input row.
        keeps_class_token: Whether the class token goes through too.
        activation: Between the GEMMs.
        queries: Learnt queries of a resampler.
        heads: Attention heads of a resampler.
        pooled_tokens: Tokens per picture after spatial pooling; None without pooling.
        pooling_reads: Inputs of one pooled element; 4 for bilinear halving and for 2 x 2 averages.
    """

    kind: Literal["mlp", "merger", "linear", "resampler"]
    input_elements: PositiveInt
    hidden_elements: PositiveInt
    output_elements: PositiveInt
    merged_patches: PositiveInt = 1
    keeps_class_token: bool = False
    activation: Activation = "gelu"
    queries: NonNegativeInt = 0
    heads: PositiveInt = 1
    pooled_tokens: PositiveInt | None = None
    pooling_reads: PositiveInt = 4

    @model_validator(mode="after")
    def _is_consistent(self) -> Projector:
        if (self.kind == "resampler") != (self.queries > 0):
            raise ValueError("queries must be above 0 in a resampler, and 0 in any other projector")
        if self.hidden_elements % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide hidden_elements ({self.hidden_elements})")
        return self


class ModelShape(StrictModel):
    """A model and one prompt with one video or image.

    Attributes:
        family: Name in `focal_traces.model_shape.families.FAMILIES`.
        vision: The tower.
        projector: From the tower to the decoder.
        decoder: The language model.
        vocabulary_size: Rows of the LM head.
        is_lm_head_tied: Whether the head shares the embedding table.
        frames: Pictures the tower runs on: groups of ``frames_per_patch`` frames of a video, crops of an image.
        visual_tokens: S, visual tokens into the decoder; a method may keep fewer from the start.
        text_tokens_before: Text tokens before the visual ones.
        text_tokens_after: Text tokens after them.
    """

    family: str
    vision: VisionTower
    projector: Projector
    decoder: DecoderGeometry
    vocabulary_size: PositiveInt
    is_lm_head_tied: bool
    frames: NonNegativeInt
    visual_tokens: NonNegativeInt
    text_tokens_before: NonNegativeInt = Field(default=0)
    text_tokens_after: NonNegativeInt = Field(default=0)

    @model_validator(mode="after")
    def _fits(self) -> ModelShape:
        if self.projector.output_elements != self.decoder.hidden_elements:
            raise ValueError(
                f"projector.output_elements ({self.projector.output_elements}) must equal "
                f"decoder.hidden_elements ({self.decoder.hidden_elements})"
            )
        if self.visual_tokens and not self.frames:
            raise ValueError(f"frames must be above 0 with {self.visual_tokens} visual tokens")
        if self.vision.patches % self.projector.merged_patches:
            raise ValueError(
                f"merged_patches ({self.projector.merged_patches}) must divide the patches of a picture "
                f"({self.vision.patches})"
            )
        return self

    @property
    def text_tokens(self) -> int:
        """Text tokens of the prompt."""
        return self.text_tokens_before + self.text_tokens_after

    def with_prompt(
        self, *, frames: int, visual_tokens: int, text_tokens_before: int, text_tokens_after: int
    ) -> ModelShape:
        """Return the same model with another prompt; raises pydantic's `ValidationError` as the class does."""
        return ModelShape.model_validate(
            self.model_dump()
            | {
                "frames": frames,
                "visual_tokens": visual_tokens,
                "text_tokens_before": text_tokens_before,
                "text_tokens_after": text_tokens_after,
            }
        )


def _cut(length: int, window: int) -> list[tuple[int, int]]:
    """Return (length, count) of the windows along one axis."""
    full, rest = divmod(length, window)
    return [(window, full)] * bool(full) + [(rest, 1)] * bool(rest)


@dataclass(frozen=True, kw_only=True)
class PromptLengths:
    """What the configuration does not tell: the prompt.

    Attributes:
        frames: Frames of the video; for an image its crops, the base picture included.
        is_video: Whether the family's pooling for videos applies.
        visual_tokens: S; None to derive it, which is possible for videos and for one whole picture.
        text_tokens_before: Text tokens before the visual ones.
        text_tokens_after: Text tokens after them.
        patch_rows: Patches down a picture; None for the square the tower was trained on.
        patch_columns: Patches across it.
    """

    frames: int = 1
    is_video: bool = True
    visual_tokens: int | None = None
    text_tokens_before: int = 0
    text_tokens_after: int = 0
    patch_rows: int | None = None
    patch_columns: int | None = None
