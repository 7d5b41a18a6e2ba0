"""Model families by name. Listing names imports nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from focal_common.registry import Registry

if TYPE_CHECKING:
    from focal_algorithm.models.base import ModelAdapter

__all__ = ["MODELS"]

MODELS: Registry[type[ModelAdapter]] = Registry(
    "model",
    {
        "llava": "focal_algorithm.models.llava:Llava",
        "llava_onevision": "focal_algorithm.models.llava_onevision:LlavaOnevision",
        "llava_video": "focal_algorithm.models.llava_video:LlavaVideo",
        "minicpm_v": "focal_algorithm.models.minicpm_v:MiniCpmV",
        "qwen2_5_vl": "focal_algorithm.models.qwen2_5_vl:Qwen25Vl",
        "qwen3_vl": "focal_algorithm.models.qwen3_vl:Qwen3Vl",
    },
    group="focal.models",
)
"""One line per family; other distributions add theirs under the entry-point group ``focal.models``."""
