"""Inputs of a run: pictures with their question, and clips from photographs that ship with scikit-image."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from focal_common.errors import ConfigError, UnsupportedError

Window = Literal["life", "start", "end"]
"""Which frames of an object matter: all in which it is visible, its first fifth, or its last fifth."""

Evidence = tuple[int, Window]
"""Index of an object of the scene, and the window in which it must be seen."""


@dataclass(frozen=True)
class Question:
    """A question with one right word.

    Attributes:
        kind: Sub-task.
        text: As the model reads it.
        answer: One word.
        choices: All words that could answer it, the right one among them.
        evidence: Objects that the answer is read from, without those that only lead to them; empty where the answer
            is that there is none.
    """

    kind: str
    text: str
    answer: str
    choices: tuple[str, ...]
    evidence: tuple[Evidence, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, tree: Any, where: str) -> Question:
        """Read what `to_json` gave, through a file; raises `ConfigError` naming ``where`` for anything else."""
        words, expected = ("kind", "text", "answer"), {"kind", "text", "answer", "choices", "evidence"}
        is_question = isinstance(tree, dict) and tree.keys() == expected
        if is_question:
            lists = (tree["choices"], tree["evidence"])
            is_question = all(isinstance(one, list) for one in lists) and all(
                isinstance(one, str) for one in (*(tree[name] for name in words), *tree["choices"])
            )
            is_question = is_question and tree["answer"] in tree["choices"]
            is_question = is_question and all(
                isinstance(one, list) and len(one) == 2 and type(one[0]) is int and one[1] in get_args(Window)
                for one in tree["evidence"]
            )
        if not is_question:
            raise ConfigError(
                f"{where}: expected a question with {', '.join(sorted(expected))}, the answer among the choices"
            )
        evidence = tuple((index, window) for index, window in tree["evidence"])
        return cls(**tree | {"choices": tuple(tree["choices"]), "evidence": evidence})


@dataclass(frozen=True)
class MediaSample:
    """Frames of one video, or one image.

    Attributes:
        sample_id: File name as a plain name, or photograph and seed.
        frames: RGB pictures in order; one for an image.
        is_video: Whether the frames are a video, be it of one frame.
        origin: Where the pixels come from, for the manifest.
        question: Its own question; empty to take that of the run.
        asked: Its question with the right answer; None outside a benchmark.
        notes: What a reader must know of the file, such as damaged packets; sentences that name it.
    """

    sample_id: str
    frames: tuple[Image.Image, ...]
    is_video: bool
    origin: str
    question: str = ""
    asked: Question | None = None
    notes: tuple[str, ...] = ()

    @property
    def pixels_sha256(self) -> str:
        """What identifies the pictures, whatever they are called."""
        found = hashlib.sha256()
        for frame in self.frames:
            found.update(f"{frame.mode} {frame.width} x {frame.height}\n".encode() + frame.tobytes())
        return found.hexdigest()


PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "motorcycle")
"""Photographs in scikit-image: NASA; Stefan van der Walt; Rachel Michetti; SpaceX; Middlebury stereo 2014."""

_FILES = {
    "astronaut": "astronaut.png",
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "rocket": "rocket.jpg",
    "motorcycle": "motorcycle_left.png",
}
_DISPARITY = "motorcycle_disp.npz"
_LARGEST_MOTION = 0.06
"""Most a corner of the view moves in a clip, as a fraction of the picture: a slow camera. Assumed."""


def photograph_clip(index: int, num_frames: int, size_pixels: int, seed: int) -> MediaSample:
    """Make the clip of one photograph; the same arguments give the same pixels.

    Args:
        index: Chooses the photograph in turn.
        num_frames: Frames of the clip.
        size_pixels: Side of the square frames.
        seed: Seed of the camera path.

    Raises:
        UnsupportedError: scikit-image is not installed or lacks its sample pictures.
    """
    name = PHOTOGRAPHS[index % len(PHOTOGRAPHS)]
    generator = np.random.default_rng([seed, index])
    picture = _picture(name)
    side = min(picture.size)
    # A square view of 70 to 85 % of the short side whose corner and size drift linearly.
    view = side * generator.uniform(0.70, 0.85)
    first = np.array(
        [generator.uniform(0, picture.width - view), generator.uniform(0, picture.height - view)]
    )
    drift = generator.uniform(-1, 1, size=2) * _LARGEST_MOTION * side
    zoom = 1 + generator.uniform(-1, 1) * _LARGEST_MOTION
    frames = []
    for time in np.linspace(0.0, 1.0, num_frames):
        width = view * (1 + (zoom - 1) * time)
        corner = np.clip(first + drift * time, 0, np.array(picture.size) - width)
        box = (float(corner[0]), float(corner[1]), float(corner[0] + width), float(corner[1] + width))
        shown = _from_aside(picture, time) if name == "motorcycle" else picture
        frames.append(shown.resize((size_pixels, size_pixels), Image.Resampling.BICUBIC, box=box))
    return MediaSample(
        sample_id=f"{name}-{seed}-{index}",
        frames=tuple(frames),
        is_video=True,
        origin=f"scikit-image sample '{_FILES[name]}', camera pan and zoom made with seed {seed}",
    )


@cache
def _picture(name: str) -> Image.Image:
    try:
        with (files("skimage") / "data" / _FILES[name]).open("rb") as source:
            return Image.open(source).convert("RGB")
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise UnsupportedError(
            f"the sample photograph '{_FILES[name]}' of scikit-image is not installed; install "
            "'scikit-image', or give a video or an image"
        ) from error


def _from_aside(left: Image.Image, time: float) -> Image.Image:
    """Return the stereo scene from a camera moved sideways by ``time`` of an eighth of the stereo baseline.

    Each pixel is fetched from where the left disparity puts it; uncovered background repeats the foreground
    edge, which at this motion is a few pixels wide.
    """
    pixels = np.asarray(left)
    disparity = _disparity() * (time / 8)
    columns = np.arange(pixels.shape[1])[None, :]
    source = np.clip(np.rint(columns + disparity).astype(np.int64), 0, pixels.shape[1] - 1)
    return Image.fromarray(np.take_along_axis(pixels, source[:, :, None], axis=1))


@cache
def _disparity() -> NDArray[np.float32]:
    with (files("skimage") / "data" / _DISPARITY).open("rb") as source:
        disparity = np.load(source, allow_pickle=False)["arr_0"]
    return np.where(np.isfinite(disparity), disparity, 0).astype(np.float32)
