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

__all__ = ["PIXEL_SCALE", "anyres_pixels", "normalised", "video_pixels"]

PIXEL_SCALE = 0.5
"""Mean and deviation of every channel, as SigLIP normalises. Source: google/siglip-so400m-patch14-384
preprocessor_config.json."""

_MEAN = _DEVIATION = PIXEL_SCALE


def normalised(picture: Image.Image) -> Tensor:
    """Return an RGB picture as fp32 in [-1, 1], axes (channels, rows, columns)."""
    pixels = torch.from_numpy(np.array(picture, dtype=np.uint8)).permute(2, 0, 1).to(torch.float32)
    return (pixels / 255 - _MEAN) / _DEVIATION


def video_pixels(frames: Sequence[Image.Image], size_pixels: int) -> Tensor:
    """Resize frames to squares; axes (batch of 1, frames, channels, rows, columns), fp32."""
    square = (size_pixels, size_pixels)
    return torch.stack([normalised(_resized(frame, square)) for frame in frames])[None]


def anyres_pixels(
    picture: Image.Image, crop_pixels: int, pinpoints: Sequence[Sequence[int]]
) -> tuple[Tensor, Tensor]:
    """Cut an image into a squashed overview and crops of the best-fitting resolution.

    The picture keeps its aspect ratio and is centred on a blank canvas, as LLaVA-OneVision was trained
    (arXiv 2408.03326, sec. 3.2).

    Args:
        picture: RGB.
        crop_pixels: Side of overview and crops.
        pinpoints: Possible (rows, columns) of the canvas in pixels.

    Returns:
        Pixels, axes (batch of 1, 1 + crops, channels, rows, columns), fp32; and (height, width) of the
        picture, axes (batch of 1, 2), int64.
    """
    width, height = picture.size
    target = select_best_resolution((height, width), list(pinpoints))
    best_height, best_width = target
    new_height, new_width = get_patch_output_size(np.asarray(picture), target, ChannelDimension.LAST)
    fitted = _resized(picture, (new_width, new_height))
    canvas = torch.zeros(3, best_height, best_width)
    top, left = (best_height - new_height) // 2, (best_width - new_width) // 2
    # Blank after normalisation is black before it, as the stock processor pads.
    canvas -= _MEAN / _DEVIATION
    canvas[:, top : top + new_height, left : left + new_width] = normalised(fitted)
    crops = [
        canvas[:, row : row + crop_pixels, column : column + crop_pixels]
        for row in range(0, best_height, crop_pixels)
        for column in range(0, best_width, crop_pixels)
    ]
    overview = normalised(_resized(picture, (crop_pixels, crop_pixels)))
    return torch.stack([overview, *crops])[None], torch.tensor([[height, width]])


def _resized(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    picture = picture.convert("RGB")
    return picture if picture.size == size else picture.resize(size, Image.Resampling.BICUBIC)
