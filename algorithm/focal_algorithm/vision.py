"""Where the vision tower of a model is, and which picture and patches each visual token comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from focal_algorithm.layout import SampleLayout
from focal_common.errors import UnsupportedError

__all__ = ["VisionPoints", "VisualMap", "find_vision_points", "one_to_one_map"]

_TOWER_NAMES = ("vision_tower", "vision_model", "vpm", "visual")


@dataclass(frozen=True)
class VisionPoints:
    """Modules of the vision tower.

    Attributes:
        layers: Encoder layers, each with ``self_attn.q_proj`` and ``self_attn.k_proj``.
        source_layer: Layer whose output the projector takes.
        heads: Attention heads.
        scaling: Factor of the attention scores.
        prefix_tokens: 1 for a tower with a CLS token before the patches, else 0.
        projector: From rows of tower features to rows of the language model's width, row by row; None if it
            mixes rows.
    """

    layers: tuple[nn.Module, ...]
    source_layer: int
    heads: int
    scaling: float
    prefix_tokens: int
    projector: nn.Module | None


@dataclass(frozen=True)
class VisualMap:
    """How the pictures that the tower saw became the visual range of one prompt.

    Attributes:
        pictures: Pictures of this prompt: frames of a video, or tiles of an image.
        place: From values of patches, axes (pictures, patches, width), to values of visual tokens, axes (S,
            width), with the model's own pooling.
        picture_of_token: Axes (S), int64; -1 for separators that no picture gave.
        is_one_to_one: Whether every token is one patch, so that features may be merged before the projector.
        is_canvas: Whether pictures after the first are tiles of one canvas.
        tower_call: Order among the kinds of pictures that a model gives to its tower one after the other.
    """

    pictures: int
    place: Callable[[Tensor], Tensor]
    picture_of_token: Tensor
    is_one_to_one: bool
    is_canvas: bool = False
    tower_call: int = 0


def find_vision_points(model: Any) -> VisionPoints:
    """Search a model for its vision tower.

    Raises:
        UnsupportedError: There is none whose attention can be computed from outside.
    """
    inner = getattr(model, "model", model)
    tower = next((getattr(inner, name) for name in _TOWER_NAMES if hasattr(inner, name)), None)
    if tower is None:
        raise UnsupportedError(
            f"{type(model).__name__} has no vision tower under {', '.join(_TOWER_NAMES)}; this family needs its "
            "own vision_points"
        )
    layers = _encoder_layers(tower)
    wanted = getattr(model.config, "vision_feature_layer", -1)
    if not isinstance(wanted, int):
        raise UnsupportedError(
            f"{type(model).__name__} joins features of several tower layers ({wanted}); token selection in the "
            "tower needs one"
        )
    source = len(layers) + wanted if wanted < 0 else wanted - 1
    attention: Any = layers[0].get_submodule("self_attn")
    has_prefix = any(name.endswith("class_embedding") for name, _ in tower.named_parameters())
    if has_prefix and getattr(model.config, "vision_feature_select_strategy", "default") != "default":
        raise UnsupportedError(
            f"{type(model).__name__} takes the CLS token for a visual token (vision_feature_select_strategy "
            "'full'); expected 'default'"
        )
    heads = int(attention.num_heads)
    return VisionPoints(
        layers=layers,
        source_layer=source,
        heads=heads,
        scaling=float(getattr(attention, "scale", (attention.q_proj.out_features // heads) ** -0.5)),
        prefix_tokens=int(has_prefix),
        projector=getattr(inner, "multi_modal_projector", None),
    )


def _encoder_layers(tower: nn.Module) -> tuple[nn.Module, ...]:
    for module in tower.modules():
        if isinstance(module, nn.ModuleList) and len(module):
            attention = getattr(module[0], "self_attn", None)
            if hasattr(attention, "q_proj") and hasattr(attention, "k_proj"):
                return tuple(module)
    raise UnsupportedError(
        f"{type(tower).__name__} has no encoder layers with self_attn.q_proj and self_attn.k_proj, so its "
        "attention cannot be had; methods that select tokens in the vision tower do not work with this family"
    )


def one_to_one_map(layout: SampleLayout, patches: int) -> VisualMap:
    """Return the map of a model whose visual tokens are the patches of its pictures in order.

    Args:
        layout: Of the prompt.
        patches: Patches per picture.

    Raises:
        UnsupportedError: The visual range does not hold whole pictures.
    """
    if layout.visual_tokens % patches:
        raise UnsupportedError(
            f"{layout.sample_id}: {layout.visual_tokens} visual tokens are not whole pictures of {patches} "
            "patches; this family needs its own visual_map"
        )
    pictures = layout.visual_tokens // patches
    return VisualMap(
        pictures=pictures,
        place=lambda values: values.flatten(0, 1),
        picture_of_token=torch.arange(pictures).repeat_interleave(patches),
        is_one_to_one=True,
    )
