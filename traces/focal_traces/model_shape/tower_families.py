"""From the ``vision_config`` of a Hugging Face configuration to the shape of the tower."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from focal_common.config import validated
from focal_common.errors import ConfigError, near_matches
from focal_traces.model_shape.model_shape import Activation, VisionTower

if TYPE_CHECKING:
    from focal_traces.model_shape.model_shape import PromptLengths

TOWER_DEFAULTS: dict[str, dict[str, Any]] = {
    "clip_vision_model": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "image_size": 224,
        "patch_size": 32,
        "hidden_act": "quick_gelu",
    },
    "siglip_vision_model": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "image_size": 224,
        "patch_size": 16,
        "hidden_act": "gelu_pytorch_tanh",
    },
    "internvl_vision": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": (448, 448),
        "patch_size": (14, 14),
        "hidden_act": "gelu",
    },
    "smolvlm_vision": {
        "hidden_size": 1152,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 16,
        "image_size": 224,
        "patch_size": 32,
        "hidden_act": "gelu_pytorch_tanh",
    },
    "qwen2_5_vl_vision": {
        "hidden_size": 3584,
        "intermediate_size": 3420,
        "num_hidden_layers": 32,
        "num_attention_heads": 16,
        "patch_size": 14,
        "hidden_act": "silu",
        "temporal_patch_size": 2,
        "window_size": 112,
        "fullatt_block_indexes": (7, 15, 23, 31),
        "spatial_merge_size": 2,
    },
}
"""Source: CLIP, Siglip, InternVL, SmolVLM and Qwen2_5_VLVisionConfig of transformers 5.23."""

_ALIASES = {"siglip": "siglip_vision_model", "qwen2_5_vl": "qwen2_5_vl_vision"}
_ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu",
    "gelu_pytorch_tanh": "gelu",
    "quick_gelu": "quick_gelu",
    "silu": "silu",
}


class Fields(Mapping[str, Any]):
    """A section of a configuration that names itself in messages; a field set to null counts as absent.

    Args:
        values: The section.
        where: Its name.
    """

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self._values = {name: value for name, value in values.items() if value is not None}
        self.where = where

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def over(self, defaults: Mapping[str, Any]) -> Fields:
        """Return the same section with defaults below it."""
        return Fields(dict(defaults) | self._values, self.where)


def with_defaults(section: Mapping[str, Any], default_type: str) -> Fields:
    """Return a ``vision_config`` over the defaults of its tower; alone where the tower is unknown."""
    kind = str(section.get("model_type") or default_type)
    return Fields(section, "vision_config").over(TOWER_DEFAULTS.get(_ALIASES.get(kind, kind), {}))


def build_tower(
    section: Mapping[str, Any], default_type: str, prompt: PromptLengths, layers: int | None = None
) -> VisionTower:
    """Return the tower of a ``vision_config``.

    Args:
        section: The configuration.
        default_type: ``model_type`` if the section names none.
        prompt: Tells the patch grid where the tower takes any size.
        layers: Default of the family's own configuration class, where it differs from the tower's.

    Raises:
        ConfigError: An unknown tower or activation, or an impossible number.
    """
    kind = str(section.get("model_type", default_type))
    kind = _ALIASES.get(kind, kind)
    if kind not in TOWER_DEFAULTS:
        raise ConfigError(f"vision_config: unknown tower '{kind}'; {near_matches(kind, TOWER_DEFAULTS)}")
    defaults = TOWER_DEFAULTS[kind] | ({} if layers is None else {"num_hidden_layers": layers})
    fields = Fields(section, "vision_config").over(defaults)
    activation = str(fields["hidden_act"])
    if activation not in _ACTIVATIONS:
        raise ConfigError(
            f"vision_config: unknown hidden_act '{activation}'; {near_matches(activation, _ACTIVATIONS)}"
        )
    rows, columns = _grid(fields, prompt)
    tree = {
        "kind": kind.removesuffix("_vision_model").removesuffix("_vision"),
        "layers": fields.get("depth", fields["num_hidden_layers"]),
        "hidden_elements": fields["hidden_size"],
        "intermediate_elements": fields["intermediate_size"],
        "heads": fields.get("num_heads", fields["num_attention_heads"]),
        "patch_pixels": one_side(fields["patch_size"]),
        "channels": fields.get("num_channels", fields.get("in_channels", 3)),
        "patch_rows": rows,
        "patch_columns": columns,
        "activation": _ACTIVATIONS[activation],
    }
    return validated(VisionTower, tree | _family_fields(kind, fields), "vision_config")


def _family_fields(kind: str, fields: Fields) -> dict[str, Any]:
    if kind == "clip_vision_model":
        return {"class_tokens": 1}
    if kind == "internvl_vision":
        if fields.get("use_qk_norm") or fields.get("norm_type", "layer_norm") != "layer_norm":
            raise ConfigError(
                "vision_config: use_qk_norm or a norm_type other than layer_norm, as InternViT-6B has them; expected "
                "a tower as InternViT-300M"
            )
        # Means are pooled by no family here, so nothing follows the last layer.
        return {"class_tokens": 1, "norms_outside_layers": 0}
    if kind in ("siglip_vision_model", "smolvlm_vision"):
        # The attention pooling head of SigLIP is left out: no family here uses what it computes.
        return {}
    merge, layers = fields["spatial_merge_size"], fields.get("depth", fields["num_hidden_layers"])
    return {
        "frames_per_patch": fields["temporal_patch_size"],
        "is_mlp_gated": True,
        "norm": "rmsnorm",
        "norms_outside_layers": 0,
        "has_rope": True,
        "window_patches": fields["window_size"] // merge // fields["patch_size"] * merge,
        "full_attention_layers": tuple(one for one in fields["fullatt_block_indexes"] if one < layers),
    }


def _grid(fields: Fields, prompt: PromptLengths) -> tuple[int, int]:
    if (prompt.patch_rows is None) != (prompt.patch_columns is None):
        raise ConfigError("prompt: give both patch_rows and patch_columns, or neither")
    if prompt.patch_rows is not None and prompt.patch_columns is not None:
        return prompt.patch_rows, prompt.patch_columns
    if "image_size" not in fields:
        raise ConfigError(
            "vision_config: a tower for pictures of any size needs patch_rows and patch_columns of the prompt"
        )
    side = grid_side(one_side(fields["image_size"]), one_side(fields["patch_size"]))
    return side, side


def one_side(pixels: Any) -> Any:
    """Return the side of a square that a configuration gives once or twice; anything else as it is."""
    is_square = isinstance(pixels, list | tuple) and len(pixels) == 2 and pixels[0] == pixels[1]
    return pixels[0] if is_square else pixels


def grid_side(image_pixels: Any, patch_pixels: Any) -> int:
    """Return the patches along a side of a square picture; raises `ConfigError` for other pictures."""
    if not isinstance(image_pixels, int) or not isinstance(patch_pixels, int) or patch_pixels < 1:
        raise ConfigError(
            f"vision_config: image_size and patch_size must be whole numbers, got {image_pixels!r} and "
            f"{patch_pixels!r}; give patch_rows and patch_columns of the prompt instead"
        )
    return image_pixels // patch_pixels
