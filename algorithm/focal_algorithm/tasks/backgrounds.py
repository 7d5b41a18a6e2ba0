"""What lies behind the shapes: crops of real photographs, or smooth texture."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from focal_common.errors import UnsupportedError

__all__ = ["PICTURES", "background"]

PICTURES = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "rocket.jpg",
    "motorcycle_left.png",
    "hubble_deep_field.jpg",
    "brick.png",
    "grass.png",
    "gravel.png",
)
"""Sample pictures inside scikit-image; its data/README.txt names the authors."""

_PHOTOGRAPH_SHARE = 0.6
_CONTRAST = 0.55
"""Backgrounds are faded towards grey: the shapes stay the most saturated things in view. Assumed."""
_MOST_PAN = 0.12
"""Most the camera moves over a clip, as a fraction of the picture. Assumed."""


def background(generator: np.random.Generator, frames: int, size_pixels: int) -> NDArray[np.float32]:
    """Return a panning background, axes (frames, rows, columns, RGB), in 0 to 255."""
    margin = int(_MOST_PAN * size_pixels) + 1
    side = size_pixels + 2 * margin
    is_photograph = generator.random() < _PHOTOGRAPH_SHARE
    wide = _photograph(generator, side) if is_photograph else _texture(generator, side)
    grey = generator.uniform(70, 130)
    wide = grey + _CONTRAST * (wide - wide.mean())
    first, last = generator.integers(0, 2 * margin + 1, size=(2, 2))
    views = np.empty((frames, size_pixels, size_pixels, 3), dtype=np.float32)
    for index, time in enumerate(np.linspace(0.0, 1.0, frames)):
        row, column = np.rint(first + (last - first) * time).astype(int)
        views[index] = wide[row : row + size_pixels, column : column + size_pixels]
    return views


def _photograph(generator: np.random.Generator, side: int) -> NDArray[np.float32]:
    picture = _picture(PICTURES[generator.integers(len(PICTURES))])
    view = int(generator.uniform(0.4, 1.0) * min(picture.size))
    left = int(generator.integers(picture.width - view + 1))
    top = int(generator.integers(picture.height - view + 1))
    box = (left, top, left + view, top + view)
    return np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR, box=box), dtype=np.float32)


def _texture(generator: np.random.Generator, side: int) -> NDArray[np.float32]:
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32)
    waves = np.zeros((side, side), dtype=np.float32)
    for _ in range(3):
        period, angle, phase = generator.uniform(8, 40), generator.uniform(0, np.pi), generator.uniform(0, 7)
        waves += np.sin((rows * np.sin(angle) + columns * np.cos(angle)) * 2 * np.pi / period + phase)
    tint = generator.uniform(0.6, 1.1, size=3).astype(np.float32)
    return (110 + 25 * waves)[:, :, None] * tint


@cache
def _picture(name: str) -> Image.Image:
    try:
        with (files("skimage") / "data" / name).open("rb") as source:
            picture = Image.open(source).convert("RGB")
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise UnsupportedError(
            f"the sample picture '{name}' of scikit-image is not installed; install 'scikit-image'"
        ) from error
    # Large pictures are shrunk once: every sample resizes a crop, which would dominate generation.
    picture.thumbnail((320, 320), Image.Resampling.BILINEAR)
    return picture
