"""Model families by name, and what a user may name. Listing names imports nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from focal_algorithm.models.weights import MANIFEST, SHIPPED, check_weights, shipped_model
from focal_common.errors import ConfigError, near_matches
from focal_common.registry import Registry

if TYPE_CHECKING:
    from focal_algorithm.models.base import ModelAdapter

__all__ = ["FOREIGN_TYPES", "MODELS", "check_model_name", "is_hub_name", "model_location", "random_size"]

_REMEDY = "copy the folder again, or train the model again with 'focal train'"

MODELS: Registry[type[ModelAdapter]] = Registry(
    "model",
    {
        "gemma3": "focal_algorithm.models.gemma3:Gemma3",
        "internvl": "focal_algorithm.models.internvl:InternVl",
        "llava": "focal_algorithm.models.llava:Llava",
        "llava_next": "focal_algorithm.models.llava_next:LlavaNext",
        "llava_onevision": "focal_algorithm.models.llava_onevision:LlavaOnevision",
        "llava_video": "focal_algorithm.models.llava_video:LlavaVideo",
        "minicpm_v": "focal_algorithm.models.minicpm_v:MiniCpmV",
        "qwen2_5_vl": "focal_algorithm.models.qwen2_5_vl:Qwen25Vl",
        "qwen3_vl": "focal_algorithm.models.qwen3_vl:Qwen3Vl",
        "smolvlm": "focal_algorithm.models.smolvlm:SmolVlm",
    },
    group="focal.models",
)
"""One line per family; other distributions add theirs under the entry-point group ``focal.models``."""


_LINEAR_ATTENTION = (
    "three of four of its decoder layers are linear attention, for whose projections and states traces have no place; "
    "expected Qwen3-VL or Qwen2.5-VL"
)

FOREIGN_TYPES = {
    "llava_qwen": "it is laid out as the original code saved it; convert it with 'focal convert-model "
    "FOLDER NEW_FOLDER' and use the new folder",
    "llavaonevision1_5": "LLaVA-OneVision-1.5 is in no transformers that Focal runs on, only as code of its "
    "checkpoints; expected LLaVA-OneVision",
    "minicpmv4_6": "MiniCPM-V 4.6 is another architecture; expected MiniCPM-V 2.6",
    "qwen3_5": _LINEAR_ATTENTION,
    "qwen3_5_moe": _LINEAR_ATTENTION,
}
"""``config.model_type`` of checkpoints that resemble those of a family and cannot be read, with what to do."""


def check_model_name(name: str) -> None:
    """Refuse what cannot be a model, before anything is loaded; raises `ConfigError` with near matches."""
    if name in MODELS or name in SHIPPED or Path(name).is_dir():
        return
    if not is_hub_name(name):
        raise ConfigError(
            f"unknown model '{name}', neither a shipped model nor a family nor a folder nor a Hub name; "
            f"{near_matches(name, [*SHIPPED, *MODELS])}"
        )


def is_hub_name(name: str) -> bool:
    """Return whether a name has the form of one on the Hub, OWNER/NAME; nothing is looked up."""
    return re.fullmatch(r"[\w.-]+/[\w.-]+", name) is not None


def random_size(model: str, size: str | None) -> str:
    """Return the size of a model with random weights: as given, or ``small``.

    Args:
        model: Its name.
        size: As given; None where it was left out.

    Raises:
        ConfigError: A size is given for a model that is no family.
    """
    if size is not None and model not in MODELS:
        raise ConfigError(
            f"size is '{size}', but only families with random weights have sizes ({', '.join(MODELS)}); "
            f"leave it out for '{model}'"
        )
    return size or "small"


def model_location(name: str) -> str:
    """Return the folder of a shipped model; every other name as it is.

    Files are compared with their hashes wherever there are any: in a shipped model, and in a folder that
    ``focal train`` wrote.

    Raises:
        ConfigError: Weights are missing or were changed.
    """
    if name in SHIPPED:
        return str(shipped_model(name))
    if (Path(name) / MANIFEST).is_file():
        check_weights(Path(name), _REMEDY)
    return name
