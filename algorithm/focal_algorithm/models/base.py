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

from focal_algorithm.layout import SampleLayout
from focal_algorithm.vision import (
    VisionPoints,
    VisualMap,
    find_vision_points,
    merged_map,
    one_to_one_map,
)
from focal_common.errors import UnsupportedError
from focal_traces.schema import DecoderGeometry

__all__ = ["DecoderPoints", "LayerPoints", "ModelAdapter", "find_decoder_points", "visual_runs"]


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


class ModelAdapter(ABC):
    """One model family. Stateless; everything is read from the model it is given.

    Attributes:
        family: Registry name.
        model_types: Values of ``config.model_type`` it serves.
        text_config_name: Name of the decoder's sub-configuration, for choosing its attention function.
    """

    family: ClassVar[str]
    model_types: ClassVar[tuple[str, ...]]
    text_config_name: ClassVar[str] = "text_config"

    def points(self, model: Any) -> DecoderPoints:
        """Find the decoder's modules."""
        return find_decoder_points(model.get_decoder())

    def geometry(self, model: Any) -> DecoderGeometry:
        """Return the shape of the decoder."""
        text = getattr(model.config, self.text_config_name)
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
            inputs: Keyword arguments of its forward: ``input_ids``, ``attention_mask`` and pixels.
            sample_ids: Names of the rows; numbered if None.

        Raises:
            UnsupportedError: A row has more than one image or video.
        """

    @classmethod
    @abstractmethod
    def random_model(cls, size: str, attention: str) -> Any:
        """Build a model of a named size with weights from torch's current random state.

        Raises:
            ConfigError: The size is unknown.
        """

    @classmethod
    @abstractmethod
    def load_model(cls, location: str, dtype: torch.dtype, attention: str, is_offline: bool) -> Any:
        """Load a checkpoint by folder or Hub name."""

    @abstractmethod
    def prompt_text(self, question: str) -> tuple[str, str]:
        """Return the text before and after the visual tokens."""

    @abstractmethod
    def visual_inputs(
        self, model: Any, frames: Sequence[Any], is_video: bool
    ) -> tuple[int, int, dict[str, Any]]:
        """Turn pictures into model inputs.

        Args:
            model: The model, for its sizes.
            frames: PIL images, the frames of one video or one image.
            is_video: Whether they are frames of a video.

        Returns:
            Placeholder token id, number of placeholders, keyword arguments with the pixels.
        """


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


def visual_runs(token_ids: Tensor, placeholders: Sequence[int]) -> list[tuple[int, int, int]]:
    """Return (placeholder id, first index, length) of each maximal run of a placeholder.

    Args:
        token_ids: One prompt without padding, axes (tokens).
        placeholders: Ids that stand for visual tokens.
    """
    runs: list[tuple[int, int, int]] = []
    values, lengths = torch.unique_consecutive(token_ids, return_counts=True)
    start = 0
    for value, length in zip(values.tolist(), lengths.tolist(), strict=True):
        if value in placeholders:
            runs.append((value, start, length))
        start += length
    return runs
