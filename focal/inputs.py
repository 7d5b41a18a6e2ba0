"""Pictures and questions: a user's own, or those of the procedural benchmarks that ship with Focal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from focal_algorithm.evaluation.offline.questions import load_questions
from focal_algorithm.prompts.media.media import MediaSample
from focal_algorithm.prompts.media.reading import read_image, read_video, shown_picture
from focal_common.errors import ConfigError

__all__ = ["Sample", "media_of", "samples"]

_MOST_FRAMES = 16
"""Of a video file, as `focal trace` takes by default."""


@dataclass(frozen=True)
class Sample:
    """One question about a picture or a clip, with its right answer.

    Attributes:
        sample_id: Name of the picture; questions about one picture share it.
        pictures: RGB pictures in order; one for an image.
        is_video: Whether they are the frames of a video.
        question: Text that is asked.
        answer: Right word.
        choices: Every word that could answer it, the right one among them.
        kind: Sub-task, under which results can be told apart; empty for none.
    """

    sample_id: str
    pictures: tuple[Image.Image, ...]
    is_video: bool
    question: str
    answer: str
    choices: tuple[str, ...]
    kind: str = ""

    @property
    def media(self) -> dict[str, Any]:
        """The pictures as a keyword argument of a processor: ``images`` or ``videos``."""
        return {"videos": list(self.pictures)} if self.is_video else {"images": self.pictures[0]}


def samples(benchmark: str, questions: int = 24, *, split: str = "test", seed: int = 0) -> tuple[Sample, ...]:
    """Return the first questions of a procedural benchmark; its pictures are drawn on first use, without network.

    Args:
        benchmark: ``shapes-video``, ``shapes-pope``, ``shapes-pope-popular``, ``shapes-pope-random``, ``shapes-mme`` or
            ``shapes-fine``.
        questions: How many.
        split: ``train``, ``val`` or ``test``.
        seed: Of the data.

    Raises:
        ConfigError: No such benchmark or split, one of second turns, or a number below 1.
    """
    found = load_questions(benchmark, questions, seed=seed, split=split)
    if any(one.first for one in found.asked):
        raise ConfigError(
            f"benchmark '{benchmark}': a second turn is no sample of its own; give the name to focal.compare_methods, "
            "or take samples of a benchmark of one turn"
        )
    media = {index: found.samples[index].media() for index in {one.picture for one in found.asked}}
    return tuple(
        Sample(
            media[one.picture].sample_id,
            media[one.picture].frames,
            media[one.picture].is_video,
            one.text,
            one.answer,
            one.choices,
            one.kind,
        )
        for one in found.asked
    )


def media_of(images: Any = None, videos: Any = None) -> MediaSample:
    """Return one image or one video as the input of a run.

    Args:
        images: A PIL image, a path, an array with axes (rows, columns, RGB) of uint8, or a list of one of them.
        videos: A path, an array with axes (frames, rows, columns, RGB) of uint8, a list of frames, or a list of one
            such video.

    Raises:
        ConfigError: Neither or both are given, several are, or a file cannot be read.
    """
    if (images is None) == (videos is None):
        raise ConfigError("expected one image or one video, given as images=... or videos=...")
    if images is not None:
        image = _only(images, "image") if isinstance(images, list | tuple) else images
        if isinstance(image, str | Path):
            return read_image(Path(image))
        return MediaSample("image", (_picture(image),), is_video=False, origin="given as pixels")
    video = videos
    if isinstance(video, list | tuple) and video and not isinstance(video[0], Image.Image):
        is_frames = isinstance(video[0], np.ndarray) and video[0].ndim == 3  # else each is a video
        video = video if is_frames else _only(video, "video")
    if isinstance(video, str | Path):
        return read_video(Path(video), _MOST_FRAMES)
    frames = tuple(_picture(frame) for frame in video)
    if not frames:
        raise ConfigError("expected a video with at least one frame, got none")
    return MediaSample("video", frames, is_video=True, origin="given as pixels")


def _only(given: Sequence[Any], kind: str) -> Any:
    if len(given) != 1:
        raise ConfigError(f"expected one {kind} per prompt, got {len(given)}")
    return given[0]


def _picture(given: Any) -> Image.Image:
    if isinstance(given, Image.Image):
        return shown_picture(given, "a picture")
    pixels = np.asarray(given)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ConfigError(
            f"expected a PIL image or an array of uint8 with axes (rows, columns, RGB), got {type(given).__name__} of "
            f"{pixels.dtype} with axes {pixels.shape}"
        )
    return Image.fromarray(pixels)
