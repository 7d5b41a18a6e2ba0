"""What the hooks must know about a model family: where its decoder is and how a prompt is laid out.

Never changes a model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import mode
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from focal_algorithm.models import sizes
from focal_algorithm.prompts.cells import CellMaker, VisualCells
from focal_algorithm.prompts.layout import (
    PromptRow,
    Run,
    SampleLayout,
    joined_layout,
    prompt_rows,
    token_grid,
)
from focal_algorithm.prompts.media.preprocess import SIGLIP, PixelScale, picture_of
from focal_algorithm.prompts.media.tokens import ByteTokenizer, Tokenizer
from focal_algorithm.prompts.vision import (
    VisionPoints,
    VisualMap,
    find_vision_points,
    merged_map,
    one_to_one_map,
)
from focal_common.errors import UnsupportedError
from focal_traces.header.schema import DecoderGeometry, TokenGrid


@dataclass(frozen=True)
class LayerPoints:
    """Modules of one decoder layer.

    Attributes:
        layer: Takes and returns the residual stream.
        attention_norm: From the residual stream to the input of ``attention``.
        attention: Its ``hidden_states`` is the shared input of the Q, K and V projections.
        o_proj: Its input is the attention output, heads side by side.
        mlp_norm: Its input is the residual stream after attention.
        mlp: Its input is shared by gate and up.
        mlp_branch: Its output is what the layer adds after the attention: the MLP, or a norm behind it.
        down_proj: Its input is act(gate) * up.
    """

    layer: nn.Module
    attention_norm: nn.Module
    attention: nn.Module
    o_proj: nn.Module
    mlp_norm: nn.Module
    mlp: nn.Module
    mlp_branch: nn.Module
    down_proj: nn.Module


@dataclass(frozen=True)
class DecoderPoints:
    """Modules of the language model.

    Attributes:
        decoder: Takes ``inputs_embeds`` and runs all layers.
        layers: One entry per layer.
    """

    decoder: nn.Module
    layers: tuple[LayerPoints, ...]

    @property
    def final_norm(self) -> nn.Module:
        """The norm behind the last layer; raises `UnsupportedError` where the decoder has none."""
        norm = getattr(self.decoder, "norm", None)
        if not isinstance(norm, nn.Module):
            raise UnsupportedError(
                f"{type(self.decoder).__name__} has no module 'norm' behind its layers; this family needs its own "
                "adapter"
            )
        return norm

    @property
    def windows(self) -> tuple[int | None, ...]:
        """Of each layer the tokens that one attends to, itself included; None for all before it.

        Raises:
            UnsupportedError: A layer attends in another way.
        """
        text: Any = self.decoder.config
        kinds = getattr(text, "layer_types", None) or ["full_attention"] * len(self.layers)
        known = {"full_attention": None, "sliding_attention": getattr(text, "sliding_window", None)}
        if others := sorted(set(kinds) - set(known)):
            raise UnsupportedError(
                f"field 'layer_types' has {', '.join(others)}; expected {' or '.join(known)}: what another kind does "
                "after tokens were dropped is not known"
            )
        return tuple(known[kind] for kind in kinds)

    @property
    def geometry(self) -> DecoderGeometry:
        """Shape of the decoder, as its configuration says."""
        text: Any = self.decoder.config
        is_windowed = "sliding_attention" in (getattr(text, "layer_types", None) or ())
        return DecoderGeometry(
            layers=text.num_hidden_layers,
            hidden_elements=text.hidden_size,
            intermediate_elements=text.intermediate_size,
            heads=text.num_attention_heads,
            kv_heads=text.num_key_value_heads,
            head_dim_elements=getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads,
            windows_tokens=self.windows if is_windowed else (),
        )


@dataclass(frozen=True)
class Placeholders:
    """Consecutive tokens whose embeddings the model replaces by visual features.

    Attributes:
        token_id: The placeholder.
        tokens: How many.
    """

    token_id: int
    tokens: int


class VisualRange(NamedTuple):
    """Where the image or video of a prompt lies, as `SampleLayout` has it."""

    visual_start: int
    visual_tokens: int
    grid: TokenGrid | None
    image_size_pixels: tuple[int, int] | None = None
    frame_starts: tuple[int, ...] = ()
    separator_columns: int = 0
    is_tiled: bool = False

    @classmethod
    def of_runs(cls, row: PromptRow, rows: int, columns: int, *, is_tiled: bool = False) -> VisualRange:
        """Return the range from the first to the last of pictures of one size, one a run, with text between them.

        The stride of its frames is the most common distance between two runs.

        Args:
            row: Runs of one image or video.
            rows: Of tokens in a picture.
            columns: Likewise.
            is_tiled: See `SampleLayout`.

        Raises:
            UnsupportedError: A run is no such picture.
        """
        first, last, cells = row.runs[0], row.runs[-1], rows * columns
        if {(run.token_id, run.tokens) for run in row.runs} != {(first.token_id, cells)}:
            raise UnsupportedError(
                f"{row.name}: runs of {', '.join(str(run.tokens) for run in row.runs)} placeholders make no pictures "
                f"of one size; expected {rows} x {columns} = {cells} in each"
            )
        gaps = [after.start - before.start for before, after in pairwise(row.runs)]
        grid = token_grid(len(row.runs), rows, columns, frame_stride=mode(gaps) if gaps else cells)
        starts = tuple(run.start - first.start for run in row.runs)
        return cls(
            first.start,
            last.start + cells - first.start,
            grid,
            frame_starts=starts if gaps else (),
            is_tiled=is_tiled,
        )


@dataclass(frozen=True)
class VisualPart:
    """The picture's part of a prompt.

    Attributes:
        pieces: Placeholders, with text between them where the family marks frames.
        inputs: Keyword arguments of the forward with the pixels.
        cells: Where each placeholder lies in the pictures, for `focal show`; None where the family cannot say.
    """

    pieces: tuple[str | Placeholders, ...]
    inputs: dict[str, Any]
    cells: CellMaker | None = None


class ModelAdapter(ABC):
    """One model family. Stateless; everything is read from the model it is given.

    Attributes:
        family: Registry name.
        model_class: The class of its models, whose ``config_class.model_type`` tells its checkpoints. Where
            ``runs_checkpoint_code`` is true of it, loading runs Python code of the checkpoint, which a user must allow.
        modalities: What it takes: ``image``, ``video`` or both.
        pixel_scale: Mean and deviation of the three channels, as the family was trained, in [0, 1].
    """

    family: ClassVar[str]
    model_class: ClassVar[Any]
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "video"})
    pixel_scale: ClassVar[PixelScale] = SIGLIP

    @classmethod
    def random_settings(cls, size: str) -> dict[str, Any]:
        """Return the fields of the configuration of a model with random weights; the default reads ``sizes.yaml``.

        Raises:
            ConfigError: The size is unknown.
        """
        return sizes.settings(cls.family, size)

    @classmethod
    def random_tokenizer(cls) -> Tokenizer:
        """Return the tokenizer of a model with random weights."""
        return ByteTokenizer()

    def points(self, model: Any) -> DecoderPoints:
        """Find the decoder's modules."""
        return find_decoder_points(model.get_decoder())

    def vision_points(self, model: Any) -> VisionPoints:
        """Find the modules of the vision tower.

        Raises:
            UnsupportedError: Its attention cannot be had from outside.
        """
        return find_vision_points(model)

    def visual_map(self, model: Any, layout: SampleLayout) -> VisualMap:
        """Return which picture and patches each visual token of a prompt comes from.

        The default fits models whose visual tokens are the patches of square pictures in order, or merged
        groups of consecutive patches.

        Raises:
            UnsupportedError: The visual range does not hold whole pictures.
        """
        vision = model.config.vision_config
        merge_size = getattr(vision, "spatial_merge_size", None)
        if merge_size is not None:
            return merged_map(layout, merge_size**2)
        return one_to_one_map(layout, (vision.image_size // vision.patch_size) ** 2)

    def layouts(
        self, model: Any, inputs: Mapping[str, Any], sample_ids: Sequence[str] | None = None
    ) -> tuple[SampleLayout, ...]:
        """Return the layout of every row of a batch.

        Args:
            model: The model.
            inputs: Keyword arguments of its forward: ``input_ids``, ``attention_mask``, and pixels or, inside
                `generate`, what it made of them before (``mm_encoder_outputs``, ``position_ids``).
            sample_ids: Names of the rows; numbered if None.

        Raises:
            UnsupportedError: A grid does not fit its placeholders.
        """
        layouts = []
        seen: Counter[int] = Counter()
        for row in prompt_rows(inputs, self.placeholders(model), sample_ids):
            tokens, rest, pictures = len(row.token_ids), row.runs, []
            while rest:
                kind = rest[0].token_id
                left = replace(row, runs=rest, picture=seen[kind])
                first, rest = self.first_picture(model, inputs, left)
                found = self.visual_range(model, inputs, replace(left, runs=first))
                pictures.append(SampleLayout(row.name, tokens, **found._asdict()))
                seen[kind] += 1
            layouts.append(
                joined_layout(pictures) if pictures else SampleLayout(row.name, tokens, 0, 0, None)
            )
        return tuple(layouts)

    def placeholders(self, model: Any) -> list[int]:
        """Return the tokens whose embeddings the model replaces by visual features."""
        names = [f"{kind}_token_id" for kind in sorted(self.modalities)]
        return [getattr(model.config, name) for name in names if hasattr(model.config, name)]

    def first_picture(
        self, model: Any, inputs: Mapping[str, Any], row: PromptRow
    ) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
        """Split the runs of a row into those of its first image or video and the rest.

        The default takes each run for a picture; see `layouts` for arguments and errors.
        """
        return row.runs[:1], row.runs[1:]

    @abstractmethod
    def visual_range(self, model: Any, inputs: Mapping[str, Any], row: PromptRow) -> VisualRange:
        """Return where the one image or video of a row lies, and its grid; see `layouts` for arguments and errors."""

    @abstractmethod
    def prompt_text(self, question: str) -> tuple[str, str]:
        """Return the text before and after the visual tokens."""

    @abstractmethod
    def visual_inputs(self, model: Any, frames: Sequence[Any], is_video: bool) -> VisualPart:
        """Turn pictures of a kind that the family takes into model inputs.

        Args:
            model: The model, for its sizes.
            frames: PIL images, the frames of one video or one image.
            is_video: Whether they are frames of a video.
        """

    def seen_cells(
        self, model: Any, pixels: Tensor, grid: Sequence[int] | None, layout: SampleLayout, is_video: bool
    ) -> VisualCells:
        """Return the pictures behind tensors that the tower was given, and where each placeholder lies in them.

        The default fits towers that take square pictures of one size, one token or one pooled group per patch.

        Args:
            model: The model, for its sizes.
            pixels: Of one prompt: axes (pictures, channels, rows, columns), or (patches, elements) with ``grid``.
            grid: Frames, rows and columns in patches; None where pixels have the axes of pictures.
            layout: Layout of the prompt.
            is_video: Whether the pictures are frames of a video.

        Raises:
            UnsupportedError: The pictures cannot be told from the tensors.
        """
        return self._cells_of(model, [picture_of(one, self.pixel_scale) for one in pixels], is_video)

    def _cells_of(self, model: Any, frames: Sequence[Any], is_video: bool) -> VisualCells:
        make = self.visual_inputs(model, frames, is_video).cells
        if make is None:
            raise UnsupportedError(f"{self.family}: does not say where its visual tokens lie in a picture")
        return make()

    def sample_pixels(self, model: Any) -> int:
        """Return the side of sample pictures that suits the model."""
        return int(model.config.vision_config.image_size)

    def layer_additions(self, inputs: dict[str, Any]) -> tuple[dict[str, Any], tuple[Tensor, ...]]:
        """Take what the decoder adds to its residual stream after its first layers out of its arguments.

        The decoder would add it at places of the whole prompt; after tokens were dropped the hooks must do it.

        Args:
            inputs: Keyword arguments of the decoder.

        Returns:
            The arguments without it, and one tensor per layer from the first, axes (batch, tokens, hidden).
        """
        return inputs, ()


def find_decoder_points(decoder: nn.Module) -> DecoderPoints:
    """Search a decoder for its layers; raises `UnsupportedError` where none look like one."""
    for module in decoder.modules():
        if isinstance(module, nn.ModuleList) and len(module) and hasattr(module[0], "self_attn"):
            return DecoderPoints(decoder, tuple(_layer_points(layer) for layer in module))
    raise UnsupportedError(
        f"{type(decoder).__name__}: found no list of decoder layers with a 'self_attn' module; this family "
        "needs its own adapter"
    )


def _layer_points(layer: nn.Module) -> LayerPoints:
    def child(path: str) -> nn.Module:
        try:
            return layer.get_submodule(path)
        except AttributeError as error:
            raise UnsupportedError(
                f"{type(layer).__name__} has no module '{path}'; this family needs its own adapter"
            ) from error

    # Gemma has a norm behind the attention and one behind the MLP, before each is added.
    is_sandwiched = hasattr(layer, "pre_feedforward_layernorm")
    return LayerPoints(
        layer=layer,
        attention_norm=child("input_layernorm"),
        attention=child("self_attn"),
        o_proj=child("self_attn.o_proj"),
        mlp_norm=child("pre_feedforward_layernorm" if is_sandwiched else "post_attention_layernorm"),
        mlp=child("mlp"),
        mlp_branch=child("post_feedforward_layernorm" if is_sandwiched else "mlp"),
        down_proj=child("mlp.down_proj"),
    )
