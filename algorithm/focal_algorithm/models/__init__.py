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
        "llava_onevision": "focal_algorithm.models.llava_onevision:LlavaOnevision",
    },
    group="focal.models",
)
"""One line per family; other distributions add theirs under the entry-point group ``focal.models``."""
