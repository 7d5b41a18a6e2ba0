"""Scenes of coloured shapes on photographs or textures: their words, their objects, and their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from focal_common.errors import UnsupportedError

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (225, 35, 35),
    "green": (35, 195, 55),
    "blue": (45, 75, 240),
    "yellow": (240, 225, 50),
    "purple": (165, 55, 205),
    "white": (245, 245, 245),
}
"""sRGB of each colour word, chosen to be far apart."""

SHAPES = ("circle", "ring", "wheel", "dot")
"""Filled disc, hollow disc, disc with a black hub, small disc.

Shapes differ in what a patch of four pixels shows, which a small tower learns in minutes; outlines alone took it too
long."""

STEPS: dict[str, tuple[int, int]] = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
"""Unit step (column, row) of each direction of motion; rows count downwards."""

DIRECTIONS = (*STEPS, "still")

QUADRANTS = ("upper-left", "upper-right", "lower-left", "lower-right")
"""Row half first, then column half."""

OPPOSITE_SIDES = {"left": "right", "right": "left", "above": "below", "below": "above"}

_BLACK_LEVEL = 12
_RADII: dict[str, tuple[float, float, float]] = {
    # Outer edge; inside of which the shape is hollow; inside of which it is black: in units of the radius.
    "circle": (1.0, 0.0, 0.0),
    "ring": (1.1, 0.6, 0.0),
    "wheel": (1.1, 0.0, 0.6),
    "dot": (0.6, 0.0, 0.0),
}
_NOISE_LEVELS = 5.0
_PICTURES = (
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


@dataclass(frozen=True)
class SceneObject:
    """One shape, still or on a straight path.

    Attributes:
        color: Word of its colour.
        shape: Word of its shape.
        radius: In pixels.
        start: (column, row) of its centre in frame ``first``, in pixels.
        end: The same in frame ``last``.
        first: First frame in which it is visible.
        last: Last frame in which it is visible.
        direction: One of `DIRECTIONS`.
        is_fast: Whether its speed is of the fast range; False for one that stands still.
    """

    color: str
    shape: str
    radius: float
    start: tuple[float, float]
    end: tuple[float, float]
    first: int = 0
    last: int = 0
    direction: str = "still"
    is_fast: bool = False

    @property
    def name(self) -> str:
        """Colour and shape, unique in a scene."""
        return f"{self.color} {self.shape}"

    def centres(self) -> NDArray[np.float64]:
        """Return its centre in each visible frame, axes (last - first + 1, 2)."""
        return np.linspace(self.start, self.end, self.last - self.first + 1)


@dataclass(frozen=True)
class Scene:
    """Objects of one clip, or of one image (a single frame); later ones are drawn over earlier ones."""

    objects: tuple[SceneObject, ...]
    frames: int = 1

    def at_end(self) -> list[int]:
        """Return the indices of the objects visible in the last frame."""
        return [index for index, shown in enumerate(self.objects) if shown.last == self.frames - 1]

    def named(self, word: str) -> list[int]:
        """Return the indices of the objects of a colour or a shape."""
        return [index for index, shown in enumerate(self.objects) if word in (shown.color, shown.shape)]


def distance_beside(here: Sequence[float], there: Sequence[float], side: str) -> float:
    """Return by how many pixels one (column, row) lies on that side of another."""
    across, down = here[0] - there[0], here[1] - there[1]
    return {"left": -across, "right": across, "above": -down, "below": down}[side]


def side_of(side: str) -> str:
    """Return a side as it stands before what it is a side of."""
    return f"{side} of" if side in ("left", "right") else side


def draw_scene(
    generator: np.random.Generator, scene: Scene, size_pixels: int
) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    """Return the pixels, axes (frames, rows, columns, RGB), and the owner of each pixel (-1: background)."""
    views = _background(generator, scene.frames, size_pixels)
    owners = np.full(views.shape[:3], -1, dtype=np.int8)
    grid = np.arange(size_pixels, dtype=np.float64) + 0.5
    for index, shown in enumerate(scene.objects):
        span, centres = slice(shown.first, shown.last + 1), shown.centres()
        color = np.array(COLORS[shown.color]) * generator.uniform(0.85, 1.0)
        across = grid[None, None, :] - centres[:, 0, None, None]
        down = grid[None, :, None] - centres[:, 1, None, None]
        square = across**2 + down**2
        outer, hollow, black = (edge * shown.radius for edge in _RADII[shown.shape])
        covered, hub = (square <= outer**2) & (square >= hollow**2), square < black**2
        views[span][covered] = color
        views[span][hub] = _BLACK_LEVEL
        owners[span][covered | hub] = index
    views += generator.standard_normal(views.shape, dtype=np.float32) * _NOISE_LEVELS
    return np.clip(np.rint(views), 0, 255).astype(np.uint8), owners


def _background(generator: np.random.Generator, frames: int, size_pixels: int) -> NDArray[np.float32]:
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
    picture = _picture(_PICTURES[generator.integers(len(_PICTURES))])
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
