"""LLaVA-OneVision as transformers ships it: one video, or one image of any resolution, per prompt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import LlavaOnevisionForConditionalGeneration
from transformers.models.llava_onevision.modeling_llava_onevision import image_size_to_num_patches

from focal_algorithm.models.base import ModelAdapter, Placeholders, VisualPart, VisualRange
from focal_algorithm.prompts.cells import VisualCells, cells_around, concatenated, frame_labels, grid_cells
from focal_algorithm.prompts.layout import PromptRow, Run, SampleLayout, cut_run, is_pyramid, token_grid
from focal_algorithm.prompts.media.preprocess import (
    anyres_canvas,
    anyres_pixels,
    picture_of_tiles,
    resized,
    video_pixels,
)
from focal_algorithm.prompts.vision import VisualMap, pooled_map
from focal_common.errors import UnsupportedError


class LlavaOnevision(ModelAdapter):
    """Layout of `LlavaOnevisionForConditionalGeneration`.

    A video gives ceil(side / 2) squared tokens per frame, row by row, and one trailing newline that counts as
    query text. An image gives side squared base tokens, then the unpadded high-resolution grid with a
    newline at the end of each row. With the real tower (side 27) that is 196 tokens per frame.

    Deviations:
        None from the published artifact: for images it calls S div 196 the number of frames and the side 27
        the frame stride, although neither describes frames; both are kept so that traces agree.
    """

    family: ClassVar[str] = "llava_onevision"
    model_class: ClassVar[Any] = LlavaOnevisionForConditionalGeneration

    def first_picture(
        self, model: Any, inputs: Mapping[str, Any], row: PromptRow
    ) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
        """Cut a run of images side by side, each as long as its size says; see `ModelAdapter.first_picture`."""
        sizes = inputs.get("image_sizes")
        if row.runs[0].token_id == model.config.video_token_id or sizes is None or row.picture >= len(sizes):
            return super().first_picture(model, inputs, row)
        rows, columns = self._image_grid(model, sizes[row.picture].tolist())
        return cut_run(row.runs, self._side(model) ** 2 + rows * columns)

    def visual_range(self, model: Any, inputs: Mapping[str, Any], row: PromptRow) -> VisualRange:
        """Return the frames of a video, or the overview and grid of an image; see `ModelAdapter.visual_range`."""
        run = row.only_run()
        if run.token_id == model.config.video_token_id:
            return self._video(model, run, row.name)
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
        """Return frames pooled as the model pools them, or tiles packed as it packs them."""
        is_video = (
            layout.image_size_pixels is None
            and layout.grid is not None
            and not is_pyramid(layout.grid)
            and layout.grid.frame_stride == self._tokens_per_frame(model)
        )
        if is_video:
            rows = math.ceil(self._side(model) / 2)
            return replace(pooled_map(layout, model.model.apply_pooling, rows), tower_call=1)
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

    def prompt_text(self, question: str) -> tuple[str, str]:
        """Return the Qwen chat template around the visual tokens."""
        before = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        return before, f"\n{question}<|im_end|>\n<|im_start|>assistant\n"

    def visual_inputs(self, model: Any, frames: Sequence[Any], is_video: bool) -> VisualPart:
        """Turn frames or one image into pixels and placeholders; see `ModelAdapter.visual_inputs`."""
        config = model.config
        crop = config.vision_config.image_size
        if is_video:
            pixels = video_pixels(frames, crop).to(model.dtype)
            tokens = self._tokens_per_frame(model) * len(frames) + 1
            inputs: dict[str, Any] = {"pixel_values_videos": pixels}
            part = (Placeholders(config.video_token_id, tokens),)
            return VisualPart(part, inputs, partial(self._video_cells, model, frames))
        pixels, image_sizes = anyres_pixels(frames[0], crop, config.image_grid_pinpoints)
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
        picture = picture_of_tiles(pixels[1:], layout.image_size_pixels, pinpoints)
        return self._cells_of(model, [picture], is_video)

    def _video_cells(self, model: Any, frames: Sequence[Any]) -> VisualCells:
        crop, rows = model.config.vision_config.image_size, math.ceil(self._side(model) / 2)
        shown = tuple(resized(frame, (crop, crop)) for frame in frames)
        covered = self._side(model) * model.config.vision_config.patch_size
        box = (0, 0, covered, covered)
        grids = [grid_cells(index, (crop, crop), rows, rows, box=box) for index in range(len(frames))]
        return VisualCells(shown, frame_labels(len(frames), True), concatenated(grids))

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

    def _side(self, model: Any) -> int:
        return int(model.config.vision_config.image_size // model.config.vision_config.patch_size)

    def _tokens_per_frame(self, model: Any) -> int:
        return math.ceil(self._side(model) / 2) ** 2

    def _video(self, model: Any, run: Run, name: str) -> VisualRange:
        per_frame, tokens = self._tokens_per_frame(model), run.tokens - 1
        if tokens < per_frame or tokens % per_frame:
            raise UnsupportedError(
                f"{name}: {run.tokens} video placeholders do not make one video of whole frames; expected a "
                f"multiple of {per_frame} plus 1"
            )
        side = math.ceil(self._side(model) / 2)
        return VisualRange(run.start, tokens, token_grid(tokens // per_frame, side, side))

    def _image(self, model: Any, run: Run, shape: tuple[int, int], image_size: Any, name: str) -> VisualRange:
        side, (rows, columns) = self._side(model), shape
        if run.tokens != side**2 + rows * columns:
            raise UnsupportedError(
                f"{name}: {run.tokens} image placeholders, expected {side}^2 + {rows} x {columns} = "
                f"{side**2 + rows * columns} for one image of this shape"
            )
        frames = max(1, run.tokens // self._tokens_per_frame(model))
        grid = token_grid(frames, rows, columns, frame_stride=side)
        return VisualRange(run.start, run.tokens, grid, image_size)

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
        aspect = model.config.vision_aspect_ratio
        packed, _ = model.model.pack_image_features(
            [tiles], [image_size], newline, vision_aspect_ratio=aspect
        )
        return packed[0]
