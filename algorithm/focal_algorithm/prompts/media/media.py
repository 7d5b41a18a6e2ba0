"""The user's own videos and images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from focal_algorithm.prompts.media.source import MediaSample
from focal_common.errors import ConfigError, UnsupportedError
from focal_common.places import as_plain_name

__all__ = ["read_image", "read_video"]


def read_image(path: Path) -> MediaSample:
    """Read one image file.

    Raises:
        ConfigError: No such file, or not an image.
    """
    _check_exists(path)
    try:
        with Image.open(path) as source:
            picture = source.convert("RGB")
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise ConfigError(f"{path}: cannot be read as an image ({_one_line(error)})") from error
    return MediaSample(as_plain_name(path.name), (picture,), is_video=False, origin=str(path))


def read_video(path: Path, num_frames: int) -> MediaSample:
    """Read a video and sample frames evenly from the first to the last; a short video gives fewer frames.

    Args:
        path: Any container and codec of FFmpeg.
        num_frames: Most frames.

    Raises:
        ConfigError: No such file, not a video, or no frame can be decoded.
        UnsupportedError: PyAV is not installed.
    """
    _check_exists(path)
    try:
        import av
    except ImportError as error:
        raise UnsupportedError("reading videos needs PyAV; install 'av'") from error
    try:
        # Two passes hold only the chosen frames in memory; containers often do not know their frame count.
        total = _count_frames(av, path)
        chosen = (
            set(np.linspace(0, total - 1, min(num_frames, total)).astype(int).tolist()) if total else set()
        )
        frames = tuple(_decode(av, path, chosen))
    except (av.FFmpegError, OSError, ValueError, IndexError) as error:
        raise ConfigError(f"{path}: cannot be decoded as a video ({_one_line(error)})") from error
    if not frames:
        raise ConfigError(f"{path}: no frame could be decoded; expected a video with at least one frame")
    return MediaSample(as_plain_name(path.name), frames, is_video=True, origin=str(path))


def _count_frames(av: object, path: Path) -> int:
    with av.open(str(path)) as container:  # type: ignore[attr-defined]
        if not container.streams.video:
            raise ValueError("it has no video stream")
        return sum(1 for _ in container.decode(video=0))


def _decode(av: object, path: Path, chosen: set[int]) -> list[Image.Image]:
    with av.open(str(path)) as container:  # type: ignore[attr-defined]
        return [
            frame.to_image().convert("RGB")
            for index, frame in enumerate(container.decode(video=0))
            if index in chosen
        ]


def _check_exists(path: Path) -> None:
    if not path.is_file():
        raise ConfigError(f"{path}: no such file")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
