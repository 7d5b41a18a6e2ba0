"""The one reader of a user's pictures and videos: what a viewer or a player shows, or one sentence why not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from focal_algorithm.prompts.media.media import MediaSample
from focal_common.errors import ConfigError, FocalError, UnsupportedError
from focal_common.places import as_plain_name


def read_image(path: Path) -> MediaSample:
    """Read one image file as `shown_picture` does.

    Raises:
        ConfigError: No such file, an empty one, not an image, or grey values whose range is not known.
    """
    _check_file(path, "an image")
    try:
        with Image.open(path) as source:
            picture = shown_picture(source, str(path))
    except FocalError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds; whatever stops them lies in the file
        raise ConfigError(f"{path}: cannot be read as an image ({_one_line(error)})") from error
    return MediaSample(as_plain_name(path.name), (picture,), is_video=False, origin=str(path))


def shown_picture(picture: Image.Image, name: str) -> Image.Image:
    """Return a picture as a viewer shows it: turned as its EXIF orientation says, 8-bit RGB.

    Grey values of 12 and 16 bits are scaled so that white stays white, as PNG asks for (W3C PNG, sec. 13.12).

    Args:
        picture: Of any mode of Pillow.
        name: What a refusal calls it.

    Raises:
        ConfigError: Grey values of 32 bits or floating point: nothing says which of them is white.
    """
    upright = ImageOps.exif_transpose(picture)
    if not picture.mode.startswith(("I", "F")):
        return upright.convert("RGB")
    values = np.asarray(upright)
    white = _white(picture)
    if white is None:
        raise ConfigError(
            f"{name}: holds grey values from {values.min():g} to {values.max():g} (mode {picture.mode}), and nothing "
            "says which of them are black and white; expected 8 or 16 bits without sign; scale it to one of them first"
        )
    # 255 of white, rounded to the nearest level.
    levels = (values.astype(np.int64) * 510 + white) // (2 * white)
    # Pillow turns greys of which zero is white over where they have 8 bits, not where they have 16.
    if getattr(picture, "tag_v2", {}).get(_PHOTOMETRIC) == 0:
        levels = 255 - levels
    return Image.fromarray(levels.astype(np.uint8)).convert("RGB")


_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262
"""Tags of TIFF 6.0, sec. 8."""


def _white(picture: Image.Image) -> int | None:
    """Return the value of white in a grey picture of more than 8 bits; None where it is not known."""
    if picture.format == "TIFF" and picture.mode.startswith("I;16"):
        return int(2 ** getattr(picture, "tag_v2", {})[_BITS_PER_SAMPLE][0] - 1)
    # Pillow scales each of these to 16 bits, some versions in mode I.
    is_wide = picture.format in ("PNG", "PPM") or (
        picture.format in ("JPEG2000", None) and picture.mode.startswith("I;16")
    )
    return 2**16 - 1 if is_wide and picture.mode != "F" else None


def read_video(path: Path, num_frames: int) -> MediaSample:
    """Read a video and sample frames evenly in time, see `sampled_frames`; a short video gives fewer frames.

    Frames stand upright, as the display matrix of the file says. Of several video streams the one marked as default
    is taken, among equals that of most pixels, then the first; attached pictures such as cover art are none. Packets
    that cannot be decoded are skipped. The sample's notes say so.

    Args:
        path: Any container and codec of FFmpeg.
        num_frames: Most frames.

    Raises:
        ConfigError: No such file, an empty one, not a video, no frame can be decoded, or frames that are to be shown at
            a slant.
        UnsupportedError: PyAV is not installed.
    """
    _check_file(path, "a video")
    try:
        import av
    except ImportError as error:
        raise UnsupportedError("reading videos needs PyAV; install 'av'") from error
    try:
        # Two passes hold only the chosen frames in memory; containers often do not know their frame count.
        first = _Pass()
        stamps = [frame.pts for frame in first.frames(av, path)]
        if not stamps:
            raise ValueError(f"no frame could be decoded{first.said()}")
        chosen, how = sampled_frames(stamps, num_frames)
        pictures = _decoded(av, path, set(chosen))
        frames = tuple(pictures[index] for index in chosen)
    except (av.FFmpegError, OSError, ValueError, IndexError) as error:
        raise ConfigError(f"{path}: cannot be decoded as a video ({_one_line(error)})") from error
    notes = tuple(f"{path.name}: {note}" for note in (*first.notes(len(stamps)), *how))
    return MediaSample(as_plain_name(path.name), frames, is_video=True, origin=str(path), notes=notes)


def sampled_frames(stamps: Sequence[int | None], num_frames: int) -> tuple[list[int], tuple[str, ...]]:
    """Return which frames of a clip are taken, and what a reader must know of that.

    ``num_frames`` instants lie evenly from the time stamp of the first frame to that of the last, both among them. At
    each the frame on screen is taken: the last one whose stamp has come. A frame that stays on screen is taken
    again, so that samples are evenly spaced in time. A clip counts as of constant rate where each stamp lies less
    than half a mean interval from an even grid, since containers round stamps; its frames, and those without
    stamps that rise, are taken by number, which is the same rule on that grid.

    Args:
        stamps: Time stamps in the order of display, in any unit; None for a frame without.
        num_frames: Most frames; never more than there are.
    """
    last = len(stamps) - 1
    instants = np.linspace(0, last, min(num_frames, last + 1))  # in mean frame intervals
    known = [stamp for stamp in stamps if stamp is not None]
    rises = len(known) == len(stamps) and all(one <= two for one, two in pairwise(known))
    span = known[-1] - known[0] if known else 0
    if last and not (rises and span):
        note = "its frames have no time stamps that rise; they are taken as if evenly spaced"
        return instants.astype(int).tolist(), (note,)
    places = np.array([(stamp - known[0]) * last / (span or 1) for stamp in known])
    if np.abs(places - np.arange(last + 1)).max() < 0.5:
        return instants.astype(int).tolist(), ()
    found = np.searchsorted(places, instants, side="right") - 1
    return found.tolist(), ("frames come at uneven times; those on screen at evenly spaced times are taken",)


@dataclass
class _Pass:
    """One reading of a video file from end to end, and what was wrong with it."""

    streams: tuple[str, ...] = ()
    damaged: list[str] = field(default_factory=list)
    broken_off: str = ""
    concealed: int = 0

    def frames(self, av: Any, path: Path) -> Iterator[Any]:
        """Yield the frames of the main stream that can be decoded."""
        with av.open(str(path)) as container:
            stream, self.streams = _main_stream(av, container)
            for packet in self._packets(av, container, stream):
                try:
                    frames = stream.codec_context.decode(None) if packet is None else packet.decode()
                except av.FFmpegError as error:
                    self.damaged.append(_one_line(error))
                    continue
                for frame in frames:
                    self.concealed += bool(frame.is_corrupt)
                    yield frame

    def _packets(self, av: Any, container: Any, stream: Any) -> Iterator[Any]:
        """Yield packets up to the end or to where the container breaks off; then None, for what the decoder holds."""
        try:
            yield from container.demux(stream)
        except av.FFmpegError as error:
            self.broken_off = _one_line(error)
            yield None

    def notes(self, total: int) -> tuple[str, ...]:
        """Return what a reader must know; ``total`` is the number of frames."""
        found = list(self.streams)
        if self.damaged:
            count = (
                "1 damaged packet was"
                if len(self.damaged) == 1
                else f"{len(self.damaged)} damaged packets were"
            )
            found.append(f"{count} skipped ({self.damaged[0]}); the other {total} frames are used")
        if self.broken_off:
            found.append(f"reading stopped after {total} frames ({self.broken_off}); they are used")
        if self.concealed:
            found.append(
                f"the decoder marks {self.concealed} of {total} frames as damaged; they are used as a player shows them"
            )
        return tuple(found)

    def said(self) -> str:
        """Return why there are no frames."""
        reasons = dict.fromkeys((*self.damaged, self.broken_off))
        return "".join(f"; {reason}" for reason in reasons if reason)


def _main_stream(av: Any, container: Any) -> tuple[Any, tuple[str, ...]]:
    """Return the video stream that a player shows, with a note where there are several."""
    kinds = av.stream.Disposition
    videos = [one for one in container.streams.video if not one.disposition & kinds.attached_pic]
    if not videos:
        only = "; its attached picture is none" if container.streams.video else ""
        raise ValueError(f"it has no video stream{only}")
    known = [one for one in videos if one.codec_context is not None]
    if not known:
        raise ValueError("no decoder is known for its video stream")
    best = max(
        known, key=lambda one: (bool(one.disposition & kinds.default), one.width * one.height, -one.index)
    )
    if len(videos) == 1:
        return best, ()
    return best, (
        f"of {len(videos)} video streams number {best.index} is taken ({best.width} x {best.height})",
    )


def _decoded(av: Any, path: Path, chosen: set[int]) -> dict[int, Image.Image]:
    found = {}
    for index, frame in enumerate(_Pass().frames(av, path)):
        if index in chosen:
            found[index] = _upright(frame)
        if len(found) == len(chosen):
            return found
    raise ValueError("it changed while it was read")


def _upright(frame: Any) -> Image.Image:
    """Return a frame as RGB, turned and mirrored by the display matrix beside it."""
    picture: Image.Image = frame.to_image().convert("RGB")
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return picture
    # A point (column, row) is shown at (a column + c row, b column + d row); libavutil/display.h.
    (a, b), (c, d) = _turn(bytes(data))
    if a == d == 0:
        picture, a, d = picture.transpose(Image.Transpose.TRANSPOSE), c, b
    if a < 0:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM) if d < 0 else picture


def _turn(data: bytes) -> NDArray[np.int32]:
    turn = np.frombuffer(data, np.int32).reshape(3, 3)[:2, :2]
    if not turn.any():  # some cameras leave the matrix empty
        return np.eye(2, dtype=np.int32)
    if not ((turn != 0) == np.eye(2)).all() and not ((turn == 0) == np.eye(2)).all():
        raise ValueError(
            f"its display matrix {turn.tolist()} shows frames at a slant; expected a turn by a multiple of 90 degrees; "
            "turn the clip first"
        )
    return turn


def _check_file(path: Path, kind: str) -> None:
    if not path.is_file():
        raise ConfigError(f"{path}: no such file")
    if not path.stat().st_size:
        raise ConfigError(f"{path}: is empty (0 bytes); expected {kind}")


def _one_line(error: Exception) -> str:
    said = getattr(error, "strerror", None) or str(error)  # FFmpeg's number says nothing to a reader
    return " ".join(said.split()) or type(error).__name__
