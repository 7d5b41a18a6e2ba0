"""InternVL 3 and 3.5 as transformers ships them: images as tiles and an overview, each a picture of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import InternVLForConditionalGeneration

from focal_algorithm.models.base import ModelAdapter, Placeholders, VisualPart, VisualRange
from focal_algorithm.prompts.cells import VisualCells, square_cells
from focal_algorithm.prompts.layout import PromptRow, SampleLayout, token_grid
from focal_algorithm.prompts.media.preprocess import PixelScale, normalised, picture_of, tiles_and_overview
from focal_algorithm.prompts.vision import VisionPoints, VisualMap, shuffled_map
from focal_common.errors import UnsupportedError

_MOST_TILES = 12
"""Source: max_patches of the image processor of transformers, which InternVLProcessor asks to cut pictures."""


class InternVl(ModelAdapter):
    """Layout of `InternVLForConditionalGeneration` (InternVL3, arXiv 2504.10479; InternVL3.5, arXiv 2508.18265).

    An image becomes the tiles of the canvas whose shape is nearest to its own, row by row, then an overview; one that
    is a single tile has no overview. Each is a square grid of tokens, one per two by two patches: 16 x 16 with the
    real tower. Its grid is one frame in which all of them lie below one another.

    Deviations:
        Videos are not taken: transformers writes their frames as images, with the images' own placeholder, between
        words; a prompt of frames made by its processor runs as a prompt of several images.
    """

    family: ClassVar[str] = "internvl"
    model_class: ClassVar[Any] = InternVLForConditionalGeneration
    modalities: ClassVar[frozenset[str]] = frozenset({"image"})
    # As ImageNet is normalised. Source: OpenGVLab/InternVL3-1B-hf preprocessor_config.json.
    pixel_scale: ClassVar[PixelScale] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

    def vision_points(self, model: Any) -> VisionPoints:
        """Find the modules of the tower, whose features are put together before the projector."""
        if model.config.vision_config.use_qk_norm:
            raise UnsupportedError(
                f"{type(model).__name__}: its vision tower normalises queries and keys after projecting them "
                "(use_qk_norm); methods that look into the tower expect one that does not, such as InternViT-300M"
            )
        return replace(super().vision_points(model), projector=None)

    def visual_map(self, model: Any, layout: SampleLayout) -> VisualMap:
        """Return pictures whose two by two patches are one token each."""
        merge = round(1 / model.config.downsample_ratio)
        return shuffled_map(layout, self._side(model), merge)

    def visual_range(self, model: Any, inputs: Mapping[str, Any], row: PromptRow) -> VisualRange:
        """Return the tiles and the overview of an image; see `ModelAdapter.visual_range`."""
        side, run = self._side(model), row.only_run()
        if run.tokens % side**2:
            raise UnsupportedError(
                f"{row.name}: {run.tokens} image placeholders; expected a multiple of {side} x {side} = {side**2}"
            )
        return VisualRange(run.start, run.tokens, token_grid(1, run.tokens // side, side))

    def prompt_text(self, question: str) -> tuple[str, str]:
        """Return the chat template, which has no system prompt."""
        return "<|im_start|>user\n", f"\n{question}<|im_end|>\n<|im_start|>assistant\n"

    def visual_inputs(self, model: Any, frames: Sequence[Any], is_video: bool) -> VisualPart:
        """Turn one image into tiles and placeholders between marks; see `ModelAdapter.visual_inputs`."""
        pictures = tiles_and_overview(frames[0], self.sample_pixels(model), _MOST_TILES)
        pixels = torch.stack([normalised(one, self.pixel_scale) for one in pictures]).to(model.dtype)
        tokens = Placeholders(model.config.image_token_id, len(pictures) * self._side(model) ** 2)
        cells = partial(square_cells, pictures, self._side(model))
        return VisualPart(("<img>", tokens, "</img>"), {"pixel_values": pixels}, cells)

    def seen_cells(
        self, model: Any, pixels: Tensor, grid: Sequence[int] | None, layout: SampleLayout, is_video: bool
    ) -> VisualCells:
        """Take each tile for the picture that it is; see `ModelAdapter.seen_cells`."""
        return square_cells([picture_of(one, self.pixel_scale) for one in pixels], self._side(model))

    def sample_pixels(self, model: Any) -> int:
        """Return the side of a tile."""
        return int(model.config.vision_config.image_size[0])

    def _side(self, model: Any) -> int:
        """Return the tokens along a side of a tile."""
        patches = self.sample_pixels(model) // model.config.vision_config.patch_size[0]
        return int(patches * model.config.downsample_ratio)
