"""Do files become what a viewer or a player shows of them, and is all that was wrong with them said?"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageOps

from focal.inputs import media_of as face_media
from focal_algorithm.evaluation.lmms.model import media_of as evaluated_media
from focal_algorithm.prompts.media.reading import read_image, read_video, sampled_frames
from focal_common.errors import ConfigError

CLIPS = Path(__file__).resolve().parents[2] / "data" / "media"
GRADIENT = np.linspace(0, 255, 60 * 100 * 3).reshape(60, 100, 3).astype(np.uint8)


def level(picture: Image.Image) -> np.ndarray:
    """Return the first channel, after all three were found equal."""
    pixels = np.asarray(picture)
    assert pixels.dtype == np.uint8
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


def write_clip(path: Path, times_ms: Iterable[int], held: int = 0) -> None:
    """Write a clip whose frame k is grey of level 5 k, with time stamps; a decoder holds back ``held``."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": str(held)})
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for index, time in enumerate(times_ms):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 5 * index, np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def numbers(path: Path, most: int) -> list[int]:
    """Return which frames of `write_clip` were taken."""
    return [round(float(np.asarray(frame).mean()) / 5) for frame in read_video(path, most).frames]


# ---- pictures ----


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
def test_a_picture_stands_as_its_exif_orientation_says(orientation: int, name: str, tmp_path: Path) -> None:
    stored = Image.fromarray(GRADIENT)
    exif = stored.getexif()
    exif[0x0112] = orientation
    options = {} if name.endswith(("jpg", "tif")) else {"lossless": True}
    stored.save(tmp_path / name, exif=exif, **options)
    unturned = np.asarray(stored if not name.endswith("jpg") else without_exif(tmp_path / name))
    # CIPA DC-008 (Exif 2.32), table 6: where row 0 and column 0 of the stored picture are shown.
    shown = {
        1: unturned,
        2: unturned[:, ::-1],
        3: unturned[::-1, ::-1],
        4: unturned[::-1],
        5: unturned.swapaxes(0, 1),
        6: np.rot90(unturned, -1),
        7: unturned[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(unturned),
    }[orientation]
    assert np.array_equal(np.asarray(read_image(tmp_path / name).frames[0]), shown)


def without_exif(path: Path) -> Image.Image:
    """Return the pixels as the file stores them."""
    with Image.open(path) as source:
        return source.convert("RGB")


def test_a_damaged_exif_block_turns_nothing(tmp_path: Path) -> None:
    Image.fromarray(GRADIENT).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f" + b"\xff" * 40)
    with pytest.warns(UserWarning, match="Corrupt EXIF data"):
        assert read_image(tmp_path / "a.jpg").frames[0].size == (100, 60)


def save_12_bits(values: np.ndarray, path: Path) -> None:
    """Write a little-endian TIFF of 12 bits a sample, two samples in three bytes (TIFF 6.0, sec. 3)."""
    rows, columns = values.shape
    pairs = values.reshape(rows, -1, 2).astype(np.uint32)
    packed = (pairs[..., 0] << 12) | pairs[..., 1]
    data = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=-1).astype(np.uint8).tobytes()
    tags = [
        (256, columns), (257, rows), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, rows), (279, len(data))
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory)


def save_white_is_zero(values: np.ndarray, path: Path) -> None:
    Image.fromarray(values).save(path, tiffinfo={262: 0})
    with Image.open(path) as source:
        assert source.tag_v2[262] == 0


WIDE = np.linspace(0, 65535, 6000).round().astype(np.uint16).reshape(60, 100)


@pytest.mark.parametrize(
    ("name", "save", "values", "white"),
    [
        ("ramp.png", lambda values, path: Image.fromarray(values).save(path), WIDE, 65535),
        ("ramp.tif", lambda values, path: Image.fromarray(values).save(path), WIDE, 65535),
        (
            "big_endian.tif",
            lambda values, path: Image.fromarray(values.astype(">u2")).save(path),
            WIDE,
            65535,
        ),
        (
            "ramp.jp2",
            lambda values, path: Image.fromarray(values).save(path, irreversible=False),
            WIDE,
            65535,
        ),
        ("ramp.pgm", lambda values, path: write_pgm(values, path, 65535), WIDE, 65535),
        ("ten_bits.pgm", lambda values, path: write_pgm(values, path, 1023), WIDE // 64, 1023),
        ("twelve_bits.tif", save_12_bits, WIDE // 16, 4095),
    ],
)
def test_wide_greys_keep_black_white_and_what_lies_between(
    name: str, save: Callable[[np.ndarray, Path], None], values: np.ndarray, white: int, tmp_path: Path
) -> None:
    save(values, tmp_path / name)
    shown = level(read_image(tmp_path / name).frames[0])
    exact = values * (255 / white)
    assert (shown.min(), shown.max()) == (0, 255)
    assert np.abs(shown - exact).max() <= 0.51  # ten bits are scaled to 16 in between


def write_pgm(values: np.ndarray, path: Path, white: int) -> None:
    path.write_bytes(b"P5 %d %d %d\n" % (*values.shape[::-1], white) + values.astype(">u2").tobytes())


def test_wide_greys_of_which_zero_is_white_are_turned_over(tmp_path: Path) -> None:
    save_white_is_zero(WIDE, tmp_path / "a.tif")
    assert np.abs(level(read_image(tmp_path / "a.tif").frames[0]) - (255 - WIDE * (255 / 65535))).max() <= 0.5


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int16])
def test_greys_of_unknown_range_are_refused_everywhere(dtype: type, tmp_path: Path) -> None:
    path = tmp_path / "measured.tif"
    if dtype is np.int16:
        Image.fromarray(WIDE // 2).save(path, tiffinfo={339: 2})  # signed samples
    else:
        Image.fromarray((WIDE // 2).astype(dtype)).save(path)
    readers: list[Callable[[], object]] = [
        lambda: read_image(path),
        lambda: face_media(images=str(path)),
        lambda: face_media(images=Image.open(path)),
        lambda: evaluated_media([Image.open(path)], name="t-0", frames=4, is_sequence=False),
    ]
    for read in readers:
        with pytest.raises(
            ConfigError, match=r"holds grey values from 0 to 3.*nothing says which of them are black"
        ):
            read()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK"])
def test_pictures_of_8_bits_are_as_before(mode: str, tmp_path: Path) -> None:
    stored = Image.fromarray(GRADIENT).convert("RGB").convert(mode)
    stored.save(tmp_path / "a.tif")
    assert read_image(tmp_path / "a.tif").frames[0].tobytes() == stored.convert("RGB").tobytes()


def test_every_way_in_turns_and_scales_alike(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(WIDE).save(tmp_path / "a.png", exif=exif)
    whole = read_image(tmp_path / "a.png").frames[0]
    assert whole.size == (60, 100)
    assert whole.tobytes() == ImageOps.exif_transpose(whole).tobytes()
    for sample in (
        face_media(images=str(tmp_path / "a.png")),
        face_media(images=Image.open(tmp_path / "a.png")),
        face_media(videos=[Image.open(tmp_path / "a.png")]),
        evaluated_media([Image.open(tmp_path / "a.png")], name="t", frames=4, is_sequence=False),
        evaluated_media([Image.open(tmp_path / "a.png")] * 2, name="t", frames=4, is_sequence=True),
        evaluated_media([str(tmp_path / "a.png")], name="t", frames=4, is_sequence=False),
    ):
        assert sample.frames[0].tobytes() == whole.tobytes()


@pytest.mark.parametrize("name", ["a.jpg", "a.mp4"])
def test_empty_files_say_so(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    with pytest.raises(ConfigError, match=rf"{name}: is empty \(0 bytes\); expected a"):
        read_image(tmp_path / name) if name == "a.jpg" else read_video(tmp_path / name, 4)


# ---- videos ----


@pytest.mark.parametrize(
    "name", ["turned_90.mp4", "turned_180.mp4", "turned_270.mp4", "turned_90_mirrored.mp4", "upside_down.mkv"]
)
def test_frames_stand_as_a_player_shows_them(name: str) -> None:
    shown = read_video(CLIPS / name, 3).frames[0]
    with Image.open((CLIPS / name).with_suffix(".png")) as by_ffmpeg:
        expected = np.asarray(by_ffmpeg.convert("RGB")).astype(int)
    assert np.asarray(shown).shape == expected.shape
    assert np.abs(np.asarray(shown) - expected).max() <= 1
    stored = np.asarray(read_video(CLIPS / "upright.mp4", 3).frames[0])
    assert stored.shape != expected.shape or np.abs(stored - expected).mean() > 20


def test_frames_at_a_slant_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"slanted\.mp4: .*expected a turn by a multiple of 90 degrees"):
        read_video(CLIPS / "slanted.mp4", 2)


def test_cover_art_is_no_video() -> None:
    assert [frame.size for frame in read_video(CLIPS / "cover_first.mp4", 9).frames] == [(32, 24)] * 6
    with pytest.raises(
        ConfigError, match=r"song_with_cover\.m4a: .*it has no video stream; its attached picture is none"
    ):
        read_video(CLIPS / "song_with_cover.m4a", 4)


def test_of_several_streams_the_default_one_is_taken_with_a_note() -> None:
    sample = read_video(CLIPS / "two_streams.mkv", 4)
    assert sample.frames[0].size == (32, 24)  # the first is larger
    assert sample.notes == ("two_streams.mkv: of 2 video streams number 1 is taken (32 x 24)",)


def test_frames_of_uneven_times_are_those_on_screen_at_even_times(tmp_path: Path) -> None:
    # 30 frames in the first 0.3 s, then one a second: 9.3 s.
    times = [10 * index for index in range(30)] + [300 + 1000 * index for index in range(10)]
    write_clip(tmp_path / "a.mkv", times)
    instants = [9300 * number / 15 for number in range(16)]
    on_screen = [max(index for index, time in enumerate(times) if time <= instant) for instant in instants]
    assert numbers(tmp_path / "a.mkv", 16) == on_screen
    assert sum(index < 30 for index in on_screen) == 1
    assert "frames come at uneven times" in read_video(tmp_path / "a.mkv", 16).notes[0]


def by_number(total: int, most: int) -> list[int]:
    """The rule before time stamps were read."""
    return list(np.linspace(0, total - 1, min(most, total)).astype(int))


@pytest.mark.parametrize(
    "rate", [Fraction(25), Fraction(30000, 1001), Fraction(24000, 1001), Fraction(60), Fraction(5)]
)
@pytest.mark.parametrize("ticks_per_second", [1000, 90000, 12800])
def test_a_constant_rate_gives_the_frames_of_old_whatever_the_container_rounds(
    rate: Fraction, ticks_per_second: int
) -> None:
    for total in (1, 2, 3, 7, 50, 99, 100, 197, 1001):
        stamps = [1234 + round(index * ticks_per_second / rate) for index in range(total)]
        for most in (1, 2, 4, 8, 16, 50, 64, 99):
            assert sampled_frames(stamps, most) == (by_number(total, most), ())


@pytest.mark.parametrize(
    "stamps", [[None] * 9, [0, 1, None, 3, 4, 5, 6, 7, 8], [0, 1, 2, 3, 4, 0, 1, 2, 3], [5] * 9]
)
def test_stamps_that_do_not_rise_are_not_used_and_said(stamps: list[int | None]) -> None:
    chosen, notes = sampled_frames(stamps, 4)
    assert chosen == by_number(9, 4)
    assert len(notes) == 1
    assert "no time stamps that rise" in notes[0]


def damaged(source: Path, target: Path, *numbers: int) -> None:
    """Copy a clip with the content of some packets overwritten."""
    content = bytearray(source.read_bytes())
    with av.open(str(source)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    for number in numbers:
        start = packets[number].pos
        content[start : start + packets[number].size] = b"\xff" * packets[number].size
    target.write_bytes(content)


def test_damaged_packets_are_skipped_counted_and_said(tmp_path: Path) -> None:
    write_clip(tmp_path / "whole.mp4", range(0, 400, 40))
    damaged(tmp_path / "whole.mp4", tmp_path / "a.mp4", 4, 5)
    sample = read_video(tmp_path / "a.mp4", 99)
    assert len(sample.frames) == 8
    assert sample.notes[0] == (
        "a.mp4: 2 damaged packets were skipped (Invalid data found when processing input); the other 8 frames are used"
    )
    assert read_video(tmp_path / "whole.mp4", 99).notes == ()


def test_a_clip_is_refused_only_where_no_frame_can_be_decoded(tmp_path: Path) -> None:
    write_clip(tmp_path / "whole.mp4", range(0, 400, 40))
    damaged(tmp_path / "whole.mp4", tmp_path / "one.mp4", *range(1, 10))
    assert len(read_video(tmp_path / "one.mp4", 4).frames) == 1
    damaged(tmp_path / "whole.mp4", tmp_path / "none.mp4", *range(10))
    with pytest.raises(ConfigError, match=r"none\.mp4: .*no frame could be decoded; Invalid data found"):
        read_video(tmp_path / "none.mp4", 4)


def test_a_clip_that_breaks_off_gives_what_is_there_and_says_so(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "whole.mp4"), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        generator = np.random.default_rng(0)
        for _ in range(10):
            noise = generator.integers(0, 255, (64, 64, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        container.mux(stream.encode())
    content = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "half.mp4").write_bytes(content[: len(content) // 2])
    whole, half = read_video(tmp_path / "whole.mp4", 99), read_video(tmp_path / "half.mp4", 99)
    assert 0 < len(half.frames) < len(whole.frames)
    assert re.fullmatch(r"half\.mp4: the decoder marks 1 of 3 frames as damaged; .*", half.notes[0])
    # The third is cut through.
    assert [one.tobytes() for one in half.frames[:2]] == [one.tobytes() for one in whole.frames[:2]]


def test_a_container_that_cannot_be_read_on_gives_what_came_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "a.mp4"
    write_clip(path, range(0, 400, 40), held=2)
    really_open = av.open

    class BrokenOff:
        def __init__(self, path: str) -> None:
            self._container = really_open(path)
            self.streams = self._container.streams

        def __enter__(self) -> BrokenOff:
            return self

        def __exit__(self, *what: object) -> None:
            self._container.close()

        def demux(self, stream: av.VideoStream) -> Iterator[av.Packet]:
            yield from islice(self._container.demux(stream), 7)
            raise av.error.InvalidDataError(5, "Input/output error")

    monkeypatch.setattr(av, "open", BrokenOff)
    sample = read_video(path, 99)
    assert len(sample.frames) == 7  # among them what the decoder held back
    assert sample.notes[0] == "a.mp4: reading stopped after 7 frames (Input/output error); they are used"
