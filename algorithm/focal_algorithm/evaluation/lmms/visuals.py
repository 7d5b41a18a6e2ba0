"""From what a task of lmms-eval shows to the input of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from focal_algorithm.prompts.media.media import read_image, read_video
from focal_algorithm.prompts.media.source import MediaSample
from focal_common.errors import UnsupportedError

__all__ = ["media_of"]

_IMAGE_FILES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


def media_of(visuals: Sequence[Any] | None, *, name: str, frames: int, is_sequence: bool) -> MediaSample:
    """Return one image or one video.

    Args:
        visuals: PIL images, paths, or one of our own `MediaSample`.
        name: Task and document, for messages and as sample id.
        frames: Most frames taken from a video file.
        is_sequence: Whether several images are the frames of one video.

    Raises:
        UnsupportedError: None, several images or videos, or another kind of medium.
    """
    shown = list(visuals or ())
    if len(shown) == 1:
        return _single(shown[0], name, frames)
    if shown and is_sequence and all(isinstance(one, Image.Image) for one in shown):
        return MediaSample(name, tuple(one.convert("RGB") for one in shown), True, "lmms-eval")
    raise UnsupportedError(
        f"{name}: {len(shown)} pictures in one question; expected one image or one video "
        "(tasks whose images are frames of a video are named with frame_tasks)"
    )


def _single(shown: Any, name: str, frames: int) -> MediaSample:
    if isinstance(shown, MediaSample):
        return shown
    if isinstance(shown, Image.Image):
        return MediaSample(name, (shown.convert("RGB"),), False, "lmms-eval")
    if isinstance(shown, (str, Path)):
        path = Path(shown)
        return read_image(path) if path.suffix.lower() in _IMAGE_FILES else read_video(path, frames)
    raise UnsupportedError(f"{name}: a {type(shown).__name__} is neither an image nor a video")
