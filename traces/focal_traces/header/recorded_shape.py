"""The shape of the model behind a recorded prompt, where the trace tells enough to know it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from focal_common.errors import ConfigError
from focal_traces.header.schema import SampleHeader
from focal_traces.model_shape.families import FAMILIES, model_shape
from focal_traces.model_shape.model_shape import ModelShape, PromptLengths
from focal_traces.model_shape.tower_families import with_defaults


def recorded_shape(config: Mapping[str, Any], family: str, sample: SampleHeader) -> ModelShape | None:
    """Return the shape of a model with the prompt of one sample.

    Args:
        config: ``model.config.to_dict()``.
        family: Name of the model's adapter.
        sample: Header of the prompt.

    Returns:
        None where the family is not in `FAMILIES`, its configuration is not one we can read, the prompt holds several
        pictures, or their number does not follow from the token grid: an image in crops leaves that many tokens or this
        many.
    """
    if family not in FAMILIES or sample.pictures:
        return None
    grid, rows, columns = sample.grid, None, None
    section = config.get("vision_config")
    vision = with_defaults(section, family) if isinstance(section, Mapping) else {}
    if grid is not None and "spatial_merge_size" in vision:
        merge = int(vision["spatial_merge_size"])
        rows, columns = grid.rows * merge, grid.columns * merge
    frames = grid.frames if grid is not None else 0
    frames *= int(vision.get("temporal_patch_size", 1))
    prompt = PromptLengths(
        frames=frames,
        text_tokens_before=sample.visual_start,
        text_tokens_after=sample.query_tokens,
        patch_rows=rows,
        patch_columns=columns,
    )
    try:
        shape = model_shape(config, prompt, family)
    except ConfigError:
        return None
    return shape if shape.visual_tokens == sample.visual_tokens else None
