"""What the hooks must know about a model family: where its decoder is and how a prompt is laid out.

Never changes a model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from focal_algorithm.prompts.cells import CellMaker, VisualCells
from focal_algorithm.prompts.layout import SampleLayout
from focal_algorithm.prompts.media.pixel_scales import SIGLIP_DEVIATION, SIGLIP_MEAN
from focal_algorithm.prompts.media.preprocess import picture_of
from focal_algorithm.prompts.media.tokens import ByteTokenizer, Tokenizer
from focal_algorithm.prompts.vision import (
    VisionPoints,
    VisualMap,
    find_vision_points,
    merged_map,
    one_to_one_map,
)
from focal_common.errors import UnsupportedError
from focal_traces.header.schema import DecoderGeometry

__all__ = [
    "DecoderPoints",
    "LayerPoints",
    "ModelAdapter",
    "Placeholders",
    "VisualPart",
    "find_decoder_points",
]


@dataclass(frozen=True)
class LayerPoints:
    """Modules of one decoder layer.

    Attributes:
        layer: Takes and returns the residual stream.
        attention: Its ``hidden_states`` is the shared input of the Q, K and V projections.
        o_proj: Its input is the attention output, heads side by side.
        mlp_norm: Its input is the residual stream after attention.
        mlp: Its input is shared by gate and up.
        down_proj: Its input is act(gate) * up.
    """

    layer: nn.Module
    attention: nn.Module
    o_proj: nn.Module
    mlp_norm: nn.Module
    mlp: nn.Module
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


@dataclass(frozen=True)
class Placeholders:
    """Consecutive tokens whose embeddings the model replaces by visual features.

    Attributes:
        token_id: The placeholder.
        tokens: How many.
    """

    token_id: int
    tokens: int


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
        model_types: Values of ``config.model_type`` it serves.
        foreign_types: Values of ``config.model_type`` of checkpoints that it cannot read as they are, with
            what to do.
        text_config_name: Name of the decoder's sub-configuration, for choosing its attention function.
        modalities: What it takes: ``image``, ``video`` or both.
        pixel_mean: Of the three channels, as the family was trained, in [0, 1].
        pixel_deviation: Likewise.
        has_remote_code: Whether its checkpoints bring their own Python code, which a user must allow.
        adds_after_layers: Whether `layer_additions` gives anything.
    """

    family: ClassVar[str]
    model_types: ClassVar[tuple[str, ...]]
    foreign_types: ClassVar[Mapping[str, str]] = {}
    text_config_name: ClassVar[str] = "text_config"
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "video"})
    pixel_mean: ClassVar[tuple[float, float, float]] = SIGLIP_MEAN
    pixel_deviation: ClassVar[tuple[float, float, float]] = SIGLIP_DEVIATION
    has_remote_code: ClassVar[bool] = False
    adds_after_layers: ClassVar[bool] = False

    @property
    def published_name(self) -> str:
        """Name of the family in tables of published parameters."""
        return self.family

    def points(self, model: Any) -> DecoderPoints:
        """Find the decoder's modules."""
        return find_decoder_points(model.get_decoder())

    def text_config(self, model: Any) -> Any:
        """Return the configuration of the decoder."""
        return getattr(model.config, self.text_config_name)

    def set_attention(self, model: Any, name: str) -> None:
        """Let the decoder, and nothing else, use the attention function registered as ``name``."""
        model.set_attn_implementation({self.text_config_name: name})

    def geometry(self, model: Any) -> DecoderGeometry:
        """Return the shape of the decoder."""
        text = self.text_config(model)
        return DecoderGeometry(
            layers=text.num_hidden_layers,
            hidden_elements=text.hidden_size,
            intermediate_elements=text.intermediate_size,
            heads=text.num_attention_heads,
            kv_heads=text.num_key_value_heads,
            head_dim_elements=getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads,
        )

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

    @abstractmethod
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
            UnsupportedError: A row has more than one image or video, or its grid does not fit its placeholders.
        """

    @classmethod
    @abstractmethod
    def random_model(cls, size: str, attention: str) -> Any:
        """Build a model of a named size with weights from torch's current random state.

        Raises:
            ConfigError: The size is unknown.
        """

    @classmethod
    def empty_model(cls, architecture: Mapping[str, Any]) -> Any:
        """Build a model without weights, on torch's meta device.

        Args:
            architecture: Fields of the configuration class.
        """
        from transformers import AutoConfig, AutoModelForImageTextToText

        config = AutoConfig.for_model(cls.model_types[0], **architecture)
        with torch.device("meta"):
            return AutoModelForImageTextToText.from_config(config)

    @classmethod
    @abstractmethod
    def load_model(cls, location: str, dtype: torch.dtype, attention: str, is_offline: bool) -> Any:
        """Load a checkpoint by folder or Hub name."""

    @abstractmethod
    def prompt_text(self, question: str) -> tuple[str, str]:
        """Return the text before and after the visual tokens."""

    @abstractmethod
    def visual_inputs(self, model: Any, frames: Sequence[Any], is_video: bool) -> VisualPart:
        """Turn pictures into model inputs.

        Args:
            model: The model, for its sizes.
            frames: PIL images, the frames of one video or one image.
            is_video: Whether they are frames of a video.

        Raises:
            UnsupportedError: The family does not take images, or videos.
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
            layout: Of the prompt.
            is_video: Whether the pictures are frames of a video.

        Raises:
            UnsupportedError: The pictures cannot be told from the tensors.
        """
        frames = [picture_of(one, self.pixel_mean, self.pixel_deviation) for one in pixels]
        return self._cells_of(model, frames, is_video)

    def _cells_of(self, model: Any, frames: Sequence[Any], is_video: bool) -> VisualCells:
        make = self.visual_inputs(model, frames, is_video).cells
        if make is None:
            raise UnsupportedError(f"{self.family}: does not say where its visual tokens lie in a picture")
        return make()

    def sequence_inputs(self, model: Any, token_ids: Tensor) -> dict[str, Tensor]:
        """Return further keyword arguments that follow from the tokens, axes (batch, tokens)."""
        return {}

    def sample_pixels(self, model: Any) -> int:
        """Return the side of sample pictures that suits the model."""
        return int(model.config.vision_config.image_size)

    @classmethod
    def random_tokenizer(cls) -> Tokenizer:
        """Return the tokenizer of `random_model`."""
        return ByteTokenizer()

    def layer_additions(self, inputs: dict[str, Any]) -> tuple[dict[str, Any], tuple[Tensor, ...]]:
        """Take what the decoder adds to its residual stream after its first layers out of its arguments.

        The decoder would add it at places of the whole prompt; after tokens were dropped the hooks must do it.

        Args:
            inputs: Keyword arguments of the decoder.

        Returns:
            The arguments without it, and one tensor per layer from the first, axes (batch, tokens, hidden).
        """
        return inputs, ()

    def require(self, is_video: bool) -> None:
        """Raise `UnsupportedError` where the family does not take what it is given."""
        given = "video" if is_video else "image"
        if given not in self.modalities:
            raise UnsupportedError(
                f"{self.family} takes no {given}s; expected {' or '.join(sorted(self.modalities))}"
            )


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

    return LayerPoints(
        layer=layer,
        attention=child("self_attn"),
        o_proj=child("self_attn.o_proj"),
        mlp_norm=child("post_attention_layernorm"),
        mlp=child("mlp"),
        down_proj=child("mlp.down_proj"),
    )
