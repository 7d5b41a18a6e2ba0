"""Where the vision tower of a model is, and which picture and patches each visual token comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers.vision_utils import get_vision_window_index

from focal_algorithm.prompts.layout import SampleLayout, starts_of_frames
from focal_common.errors import UnsupportedError

STAYS = -2
"""Mark of a token within the visual range that no method may drop."""

_TOWER_NAMES = ("vision_tower", "vision_model", "vpm", "visual")


@dataclass(frozen=True)
class VisionPoints:
    """Modules of the vision tower.

    Attributes:
        tower: The whole of it.
        layers: Encoder layers.
        attention_name: Name of the attention module in a layer.
        source_layer: Layer whose output the projector takes.
        heads: Attention heads.
        scaling: Factor of the attention scores.
        prefix_tokens: 1 for a tower with a CLS token before the patches, else 0.
        projector: From rows of tower features to rows of the language model's width, row by row; None if it
            mixes rows.
        is_fused: Whether attention has one module ``qkv``, rotary tables and all pictures in one sequence;
            otherwise it has ``q_proj`` and ``k_proj`` and pictures are a batch.
        whole_layers: Layers that attend over whole pictures; None for all.
        patches_per_token: Consecutive patches, in raster order of tokens, that become one token.
        order: From the grids of the pictures, axes (pictures or videos, 3), to the places of the patches in the
            tower's own order; None if it keeps theirs.
    """

    tower: nn.Module
    layers: tuple[nn.Module, ...]
    attention_name: str
    source_layer: int
    heads: int
    scaling: float
    prefix_tokens: int = 0
    projector: nn.Module | None = None
    is_fused: bool = False
    whole_layers: frozenset[int] | None = None
    patches_per_token: int = 1
    order: Callable[[Tensor | None], Tensor] | None = None

    def attention(self, layer: int) -> nn.Module:
        """Return the attention module of a layer."""
        return self.layers[layer].get_submodule(self.attention_name)


@dataclass(frozen=True)
class VisualMap:
    """How the pictures that the tower saw became the visual range of one prompt.

    Attributes:
        pictures: Pictures of this prompt: frames of a video, or tiles of an image.
        place: From values of patches, axes (pictures, patches, width), to values of visual tokens, axes (S,
            width), with the model's own pooling.
        picture_of_token: Axes (S), int64; -1 for separators that no picture gave, and that go with their row;
            `STAYS` for text between pictures.
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
    for module in tower.modules():
        if isinstance(module, nn.ModuleList) and len(module):
            for name in ("self_attn", "attention"):
                if _has(module[0], f"{name}.q_proj") and _has(module[0], f"{name}.k_proj"):
                    return _separate(model, inner, tower, tuple(module), name)
            if _has(module[0], "attn.qkv"):
                return _fused(tower, tuple(module))
    raise UnsupportedError(
        f"{type(tower).__name__} has no encoder layers with q_proj and k_proj in self_attn or attention, or "
        "with attn.qkv, so its attention cannot be had; methods that select tokens in the vision tower do not work "
        "with this family"
    )


def _has(module: nn.Module, path: str) -> bool:
    try:
        module.get_submodule(path)
    except AttributeError:
        return False
    return True


def _separate(
    model: Any, inner: Any, tower: Any, layers: tuple[nn.Module, ...], attention_name: str
) -> VisionPoints:
    """Describe a tower as CLIP and SigLIP have it."""
    wanted = getattr(model.config, "vision_feature_layer", -1)
    if not isinstance(wanted, int):
        raise UnsupportedError(
            f"{type(model).__name__} joins features of several tower layers ({wanted}); token selection in the "
            "tower needs one"
        )
    has_prefix = any(name.endswith(("class_embedding", "cls_token")) for name, _ in tower.named_parameters())
    if has_prefix and getattr(model.config, "vision_feature_select_strategy", "default") != "default":
        raise UnsupportedError(
            f"{type(model).__name__} takes the CLS token for a visual token (vision_feature_select_strategy "
            "'full'); expected 'default'"
        )
    attention: Any = layers[0].get_submodule(attention_name)
    heads = int(attention.num_heads)
    return VisionPoints(
        tower=tower,
        layers=layers,
        attention_name=attention_name,
        source_layer=len(layers) + wanted if wanted < 0 else wanted - 1,
        heads=heads,
        scaling=float(getattr(attention, "scale", (attention.q_proj.out_features // heads) ** -0.5)),
        prefix_tokens=int(has_prefix),
        projector=getattr(inner, "multi_modal_projector", None),
    )


def _fused(tower: Any, layers: tuple[nn.Module, ...]) -> VisionPoints:
    """Describe a tower as Qwen2.5-VL and Qwen3-VL have it; its merger mixes rows."""
    attention: Any = layers[0].get_submodule("attn")
    whole = getattr(tower, "fullatt_block_indexes", None)
    return VisionPoints(
        tower=tower,
        layers=layers,
        attention_name="attn",
        source_layer=len(layers) - 1,
        heads=int(attention.num_heads),
        scaling=float(attention.scaling),
        is_fused=True,
        whole_layers=None if whole is None else frozenset(whole),
        patches_per_token=int(tower.spatial_merge_size) ** 2,
        order=partial(_raster_order, tower) if hasattr(tower, "window_size") else None,
    )


def _raster_order(tower: Any, grid: Tensor | None) -> Tensor:
    """Undo the order of windows: place in the tower's sequence of each patch of the pictures."""
    if grid is None:
        raise UnsupportedError(
            f"{type(tower).__name__} was called without grid_thw, so its patches have no order"
        )
    windows, _ = get_vision_window_index(
        grid,
        spatial_merge_size=tower.spatial_merge_size,
        window_size=tower.window_size,
        patch_size=tower.patch_size,
    )
    unit = tower.spatial_merge_size**2
    groups = windows.argsort()[:, None] * unit + torch.arange(unit, device=windows.device)
    return groups.flatten()


def merged_map(layout: SampleLayout, patches_per_token: int) -> VisualMap:
    """Return the map of a model that merges consecutive patches into a token.

    Scores and keys are averaged over the patches of a token (VisionZip's authors on Qwen2.5-VL).

    Args:
        layout: Layout of the prompt.
        patches_per_token: Patches that its merger joins.

    Raises:
        UnsupportedError: The visual range does not hold whole pictures.
    """
    grid = layout.grid
    frames = 1 if grid is None else grid.frames
    cells = layout.visual_tokens if grid is None else grid.rows * grid.columns
    found = _spaced_map(
        layout, frames, cells, lambda values: values.unflatten(1, (-1, patches_per_token)).mean(dim=2)
    )
    return replace(found, tower_call=int(frames > 1))


def shuffled_map(layout: SampleLayout, side: int, merge: int) -> VisualMap:
    """Return the map of a model that makes a token of each square of patches, of square pictures of one size.

    Scores and keys are averaged over the patches of a token, as in `merged_map`.

    Args:
        layout: Layout of the prompt.
        side: Tokens along a side of a picture.
        merge: Patches along a side of a token.

    Raises:
        UnsupportedError: The visual range does not hold whole pictures.
    """

    def pool(values: Tensor) -> Tensor:
        return values.unflatten(1, (side, merge, side, merge)).mean(dim=(2, 4)).flatten(1, 2)

    pictures = len(layout.frame_starts) or one_to_one_map(layout, side**2).pictures
    return _spaced_map(layout, pictures, side**2, pool)


def _spaced_map(
    layout: SampleLayout, pictures: int, cells: int, pool: Callable[[Tensor], Tensor]
) -> VisualMap:
    """Return the map of pictures of ``cells`` tokens each; text between them stays."""
    starts = torch.arange(pictures) * cells
    if layout.grid is not None and layout.grid.frames == pictures:
        starts = starts_of_frames(layout)
    places = starts[:, None] + torch.arange(cells)
    if int(places[-1, -1]) + 1 != layout.visual_tokens or bool((starts.diff() < cells).any()):
        raise UnsupportedError(
            f"{layout.sample_id}: {layout.visual_tokens} visual tokens are not {pictures} pictures of {cells} tokens "
            "each; this family needs its own visual_map"
        )

    def place(values: Tensor) -> Tensor:
        spaced = values.new_zeros(layout.visual_tokens, values.shape[-1])
        spaced[places.flatten()] = pool(values).flatten(0, 1)
        return spaced

    of_token = torch.full((layout.visual_tokens,), STAYS)
    of_token[places] = torch.arange(pictures)[:, None]
    return VisualMap(pictures, place, of_token, is_one_to_one=False)


def pooled_map(
    layout: SampleLayout, pool: Callable[[Tensor], Tensor], rows: int, has_newlines: bool = False
) -> VisualMap:
    """Return the map of a model that pools each frame, with or without a separator after each row.

    Args:
        layout: Layout of the prompt; its visual range holds whole frames.
        pool: The model's own pooling, from axes (frames, patches, width) to (frames, rows x rows, width).
        rows: Rows, and columns without separators, of a frame.
        has_newlines: Whether a separator follows each row.

    Raises:
        UnsupportedError: The visual range does not hold whole frames.
    """
    columns = rows + has_newlines
    frames, rest = divmod(layout.visual_tokens, rows * columns)
    if rest:
        raise UnsupportedError(
            f"{layout.sample_id}: {layout.visual_tokens} visual tokens are not whole frames of {rows} x {columns}"
        )

    def place(values: Tensor) -> Tensor:
        pooled = pool(values).unflatten(1, (rows, rows))
        return torch.nn.functional.pad(pooled, (0, 0, 0, columns - rows)).flatten(0, 2)

    frame = torch.arange(frames)[:, None, None].expand(-1, rows, rows)
    return VisualMap(
        pictures=frames,
        place=place,
        picture_of_token=torch.nn.functional.pad(frame, (0, columns - rows), value=-1).flatten(),
        is_one_to_one=False,
    )


def one_to_one_map(layout: SampleLayout, patches: int) -> VisualMap:
    """Return the map of a model whose visual tokens are the patches of its pictures in order.

    Args:
        layout: Layout of the prompt.
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
