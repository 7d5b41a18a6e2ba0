"""LLaVA-NeXT (LLaVA-1.6) as transformers ships it: images of any resolution, as an overview and a grid of tiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import LlavaNextForConditionalGeneration
from transformers.models.llava_next.modeling_llava_next import image_size_to_num_patches

from focal_algorithm.models.base import Placeholders, VisualPart, VisualRange
from focal_algorithm.models.llava import Llava
from focal_algorithm.prompts.cells import VisualCells, cells_around, concatenated, grid_cells
from focal_algorithm.prompts.layout import PromptRow, Run, SampleLayout, cut_run, token_grid
from focal_algorithm.prompts.media.preprocess import (
    anyres_canvas,
    anyres_pixels,
    picture_of_tiles,
    resized,
)
from focal_algorithm.prompts.vision import VisualMap
from focal_common.errors import UnsupportedError
from focal_traces.header.schema import TokenGrid


class LlavaNext(Llava):
    """Layout of `LlavaNextForConditionalGeneration` (LLaVA-NeXT, January 2024).

    An image gives side squared tokens of an overview, then the unpadded grid of its tiles with a newline at the end
    of each row: with the real tower (side 24), 576 and 48 x 49 tokens for a square picture.

    Deviations:
        The question stands in the conversation of the Vicuna checkpoints, whatever the language model. The grid
        handed to methods is that of the tiles, although the overview comes first: neighbours in a row and in a
        column are right among the tiles, and only neighbours in a row in the overview.
    """

    family: ClassVar[str] = "llava_next"
    model_class: ClassVar[Any] = LlavaNextForConditionalGeneration

    def first_picture(
        self, model: Any, inputs: Mapping[str, Any], row: PromptRow
    ) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
        """Cut a run of images side by side, each as long as its size says; see `ModelAdapter.first_picture`."""
        sizes = inputs.get("image_sizes")
        if sizes is None or row.picture >= len(sizes):
            return row.runs[:1], row.runs[1:]
        rows, columns = self._image_grid(model, sizes[row.picture].tolist())
        return cut_run(row.runs, self._side(model) ** 2 + rows * columns)

    def visual_range(self, model: Any, inputs: Mapping[str, Any], row: PromptRow) -> VisualRange:
        """Return the overview and grid of an image; see `ModelAdapter.visual_range`."""
        run = row.only_run()
        image_sizes = inputs.get("image_sizes")
        encoded = (inputs.get("mm_encoder_outputs") or {}).get("image")
        if image_sizes is not None:
            image_size = tuple(image_sizes[row.picture].tolist())
            return self._image(model, run, self._image_grid(model, list(image_size)), image_size, row.name)
        if encoded is not None:  # generate() encodes images first and hands on only the features
            shape = self._encoded_grid(model, encoded.pooler_output[row.picture])
            return self._image(model, run, shape, None, row.name)
        raise UnsupportedError(
            f"{row.name}: the grid of an image follows from image_sizes, which the forward lacks"
        )

    def visual_map(self, model: Any, layout: SampleLayout) -> VisualMap:
        """Return tiles packed as the model packs them."""
        if layout.image_size_pixels is None:
            raise UnsupportedError(
                f"{layout.sample_id}: the tiles of an image follow from image_sizes, which the forward lacks; give "
                "them to the forward, or say what the prompt holds with attach(..., layouts=...)"
            )
        size, config = list(layout.image_size_pixels), model.config
        tiles = image_size_to_num_patches(size, config.image_grid_pinpoints, config.vision_config.image_size)

        def place(values: Tensor) -> Tensor:
            return self._packed(model, values, size, values.new_full((values.shape[-1],), -1.0))

        tile = torch.arange(tiles, dtype=torch.float32)[:, None, None].expand(-1, self._side(model) ** 2, 1)
        number = place(tile.contiguous()).flatten()
        grid = place(torch.arange(self._side(model) ** 2, dtype=torch.float32).repeat(tiles, 1)[..., None])
        return VisualMap(
            pictures=tiles,
            place=place,
            picture_of_token=number.round().to(torch.int64),
            # A picture of more tiles than the model takes is scaled down, so tokens are no longer patches.
            is_one_to_one=bool((grid == grid.round()).all()),
            is_canvas=True,
        )

    def visual_inputs(self, model: Any, frames: Sequence[Any], is_video: bool) -> VisualPart:
        """Turn one image into pixels and placeholders; see `ModelAdapter.visual_inputs`."""
        config = model.config
        crop = config.vision_config.image_size
        pixels, image_sizes = anyres_pixels(frames[0], crop, config.image_grid_pinpoints, self.pixel_scale)
        rows, columns = self._image_grid(model, image_sizes[0].tolist())
        inputs = {"pixel_values": pixels.to(model.dtype), "image_sizes": image_sizes}
        tokens = self._side(model) ** 2 + rows * columns
        shape = (rows, columns)
        part = (Placeholders(config.image_token_id, tokens),)
        return VisualPart(part, inputs, partial(self._image_cells, model, frames[0], shape))

    def seen_cells(
        self, model: Any, pixels: Tensor, grid: Sequence[int] | None, layout: SampleLayout, is_video: bool
    ) -> VisualCells:
        """Put the tiles of an image together first; see `ModelAdapter.seen_cells`."""
        if is_video or layout.image_size_pixels is None:
            return super().seen_cells(model, pixels, grid, layout, is_video)
        pinpoints = model.config.image_grid_pinpoints
        picture = picture_of_tiles(pixels[1:], layout.image_size_pixels, pinpoints, self.pixel_scale)
        return self._cells_of(model, [picture], is_video)

    def _image_cells(self, model: Any, picture: Any, shape: tuple[int, int]) -> VisualCells:
        """Return overview and tiles put together, without the padding that the model cuts off."""
        config, side = model.config, self._side(model)
        crop, patch = config.vision_config.image_size, config.vision_config.patch_size
        canvas = anyres_canvas(picture, config.image_grid_pinpoints)
        overview = grid_cells(0, (crop, crop), side, side, box=(0, 0, side * patch, side * patch))
        # The model's own packing says where a token lies, padding cut off and scaled down as it does.
        rows, columns = canvas.height // crop, canvas.width // crop
        centre = (torch.arange(side) + 0.5) * patch
        down = (torch.arange(rows)[:, None] * crop + centre).view(rows, 1, side, 1)
        across = (torch.arange(columns)[:, None] * crop + centre).view(1, columns, 1, side)
        tiles = torch.stack(torch.broadcast_tensors(across, down), dim=-1).view(-1, side**2, 2)
        image_size = [picture.height, picture.width]
        packed = self._packed(model, torch.cat((tiles[:1], tiles)), image_size, torch.zeros(2))
        places = packed[side**2 :].view(*shape, 2)[:, :-1].numpy()
        large, box = cells_around(1, places[0, :, 0], places[:, 0, 1])
        shown = (resized(picture, (crop, crop)), canvas.crop(box))
        return VisualCells(shown, ("overview", "tiles"), concatenated([overview, large]))

    def _image(self, model: Any, run: Run, shape: tuple[int, int], image_size: Any, name: str) -> VisualRange:
        side, (rows, columns) = self._side(model), shape
        if run.tokens != side**2 + rows * columns:
            raise UnsupportedError(
                f"{name}: {run.tokens} image placeholders, expected {side}^2 + {rows} x {columns} = "
                f"{side**2 + rows * columns} for one image of this shape"
            )
        return VisualRange(run.start, run.tokens, self._grid(model, run.tokens, shape), image_size)

    def _grid(self, model: Any, tokens: int, shape: tuple[int, int]) -> TokenGrid:
        # The stride marks an overview before one large grid; see `is_pyramid`.
        return token_grid(1, *shape, frame_stride=self._side(model))

    def _encoded_grid(self, model: Any, features: Tensor) -> tuple[int, int]:
        """Return rows and columns of an encoded image, whose rows end with copies of the newline vector."""
        rest = features[self._side(model) ** 2 :]
        rows = int((rest == model.model.image_newline.to(rest)).all(dim=-1).sum())
        if not rows or len(rest) % rows:
            raise UnsupportedError(
                f"{len(features)} encoded image features hold {rows} newlines, which make no grid; give "
                "attach(..., layouts=...)"
            )
        return rows, len(rest) // rows

    def _image_grid(self, model: Any, image_size: list[int]) -> tuple[int, int]:
        """Return rows and columns (newline included) of the high-resolution grid, as the model packs it."""
        config, side = model.config, self._side(model)
        tiles = image_size_to_num_patches(
            image_size, config.image_grid_pinpoints, config.vision_config.image_size
        )
        packed = self._packed(model, torch.zeros(tiles, side**2, 1), image_size, torch.ones(1))
        rows = int((packed == 1).sum())
        return rows, (len(packed) - side**2) // rows

    def _packed(self, model: Any, tiles: Tensor, image_size: list[int], newline: Tensor) -> Tensor:
        """Pack values of patches, axes (tiles, patches, width), as the model alone knows to."""
        packed, _ = model.model.pack_image_features(
            [tiles], [image_size], model.config.vision_feature_select_strategy, newline
        )
        return packed[0]
