"""From pictures to pixel tensors with Pillow and torch alone.

transformers' video processors need torchvision, whose presence beside a CPU build of torch breaks its import.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers.image_processing_utils import get_patch_output_size, select_best_resolution
from transformers.image_utils import ChannelDimension
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import get_optimal_tiled_canvas

PixelScale = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Mean and deviation of the three colour channels that a vision tower was trained with, for pixels in [0, 1]."""

SIGLIP: PixelScale = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""Source: google/siglip-so400m-patch14-384 preprocessor_config.json."""

CLIP: PixelScale = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
"""Source: openai/clip-vit-large-patch14-336 preprocessor_config.json."""


def normalised(picture: Image.Image, scale: PixelScale = SIGLIP) -> Tensor:
    """Return an RGB picture as fp32 of zero mean and unit deviation, axes (channels, rows, columns)."""
    mean, deviation = (torch.tensor(channels)[:, None, None] for channels in scale)
    pixels = torch.from_numpy(np.array(picture, dtype=np.uint8)).permute(2, 0, 1).to(torch.float32)
    return (pixels / 255 - mean) / deviation


def picture_of(pixels: Tensor, scale: PixelScale) -> Image.Image:
    """Return the RGB picture that `normalised` made pixels of, to the bit for fp32 pixels.

    Args:
        pixels: Axes (channels, rows, columns).
        scale: Scale of the pixels.
    """
    mean, deviation = (torch.tensor(channels)[:, None, None] for channels in scale)
    levels = ((pixels.to("cpu", torch.float32) * deviation + mean) * 255).round().clamp(0, 255)
    return Image.fromarray(levels.to(torch.uint8).permute(1, 2, 0).contiguous().numpy())


def video_pixels(frames: Sequence[Image.Image], size_pixels: int) -> Tensor:
    """Resize frames to squares; axes (batch of 1, frames, channels, rows, columns), fp32."""
    square = (size_pixels, size_pixels)
    return torch.stack([normalised(resized(frame, square)) for frame in frames])[None]


def cropped(picture: Image.Image, size_pixels: int) -> Image.Image:
    """Return the centre square of a picture whose short side was resized, as CLIP was trained (arXiv 2103.00020)."""
    width, height = picture.size
    factor = size_pixels / min(width, height)
    fitted = resized(picture, (max(size_pixels, int(width * factor)), max(size_pixels, int(height * factor))))
    left, top = (fitted.width - size_pixels) // 2, (fitted.height - size_pixels) // 2
    return fitted.crop((left, top, left + size_pixels, top + size_pixels))


def anyres_pixels(
    picture: Image.Image, crop_pixels: int, pinpoints: Sequence[Sequence[int]], scale: PixelScale = SIGLIP
) -> tuple[Tensor, Tensor]:
    """Cut an image into a squashed overview and crops of the best-fitting resolution.

    The picture keeps its aspect ratio and is centred on a blank canvas, as LLaVA-OneVision was trained
    (arXiv 2408.03326, sec. 3.2).

    Args:
        picture: RGB.
        crop_pixels: Side of overview and crops.
        pinpoints: Possible (rows, columns) of the canvas in pixels.
        scale: Scale of the pixels.

    Returns:
        Pixels, axes (batch of 1, 1 + crops, channels, rows, columns), fp32; and (height, width) of the
        picture, axes (batch of 1, 2), int64.
    """
    # Blank before normalisation is black, as the stock processor pads.
    canvas = normalised(anyres_canvas(picture, pinpoints), scale)
    _, best_height, best_width = canvas.shape
    crops = [
        canvas[:, row : row + crop_pixels, column : column + crop_pixels]
        for row in range(0, best_height, crop_pixels)
        for column in range(0, best_width, crop_pixels)
    ]
    overview = normalised(resized(picture, (crop_pixels, crop_pixels)), scale)
    return torch.stack([overview, *crops])[None], torch.tensor([[picture.height, picture.width]])


def anyres_canvas(picture: Image.Image, pinpoints: Sequence[Sequence[int]]) -> Image.Image:
    """Return the canvas that `anyres_pixels` cuts into crops, blank as black."""
    width, height = picture.size
    target = select_best_resolution((height, width), list(pinpoints))
    new_height, new_width = get_patch_output_size(np.asarray(picture), target, ChannelDimension.LAST)
    canvas = Image.new("RGB", (target[1], target[0]))
    corner = ((target[1] - new_width) // 2, (target[0] - new_height) // 2)
    canvas.paste(resized(picture, (new_width, new_height)), corner)
    return canvas


def picture_of_tiles(
    tiles: Tensor, image_size: tuple[int, int], pinpoints: Sequence[Sequence[int]], scale: PixelScale
) -> Image.Image:
    """Return the picture that `anyres_pixels` cut into tiles, at its own size; what was scaled down stays coarse.

    Args:
        tiles: Without the overview, axes (tiles, channels, rows, columns).
        image_size: Height and width of the picture.
        pinpoints: Possible (rows, columns) of the canvas in pixels.
        scale: Scale of the pixels.
    """
    height, width = image_size
    crop = tiles.shape[-1]
    target = select_best_resolution((height, width), list(pinpoints))
    blank = np.empty((height, width, 3), dtype=np.uint8)
    new_height, new_width = get_patch_output_size(blank, target, ChannelDimension.LAST)
    rows, columns = target[0] // crop, target[1] // crop
    canvas = tiles.unflatten(0, (rows, columns)).permute(2, 0, 3, 1, 4).flatten(3).flatten(1, 2)
    top, left = (target[0] - new_height) // 2, (target[1] - new_width) // 2
    fitted = canvas[:, top : top + new_height, left : left + new_width]
    return resized(picture_of(fitted, scale), (width, height))


def tiles_and_overview(picture: Image.Image, side_pixels: int, most_tiles: int) -> list[Image.Image]:
    """Cut a picture into the tiles of the canvas nearest to it in shape, row by row, and squash it to an overview.

    InternVL 1.5, arXiv 2404.16821, sec. 3.2. A picture of a single tile is its own overview.

    Args:
        picture: RGB.
        side_pixels: Side of tiles and overview.
        most_tiles: Tiles of a canvas, at most.
    """
    size = (picture.height, picture.width)
    columns, rows = get_optimal_tiled_canvas(size, (side_pixels, side_pixels), 1, most_tiles)
    canvas = resized(picture, (columns * side_pixels, rows * side_pixels))
    tiles = [
        canvas.crop((left, top, left + side_pixels, top + side_pixels))
        for top in range(0, canvas.height, side_pixels)
        for left in range(0, canvas.width, side_pixels)
    ]
    return [*tiles, resized(picture, (side_pixels, side_pixels))] if len(tiles) > 1 else tiles


def resized(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return an RGB picture of ``size`` (width, height), bicubic."""
    picture = picture.convert("RGB")
    return picture if picture.size == size else picture.resize(size, Image.Resampling.BICUBIC)
