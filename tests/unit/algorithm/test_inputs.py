"""Do pictures become the pixels the model expects, and do bad files say what is wrong?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)

import attach_support as support
from focal_algorithm.prompts.media.media import PHOTOGRAPHS, photograph_clip
from focal_algorithm.prompts.media.preprocess import CLIP, SIGLIP, PixelScale, anyres_pixels
from focal_algorithm.prompts.media.reading import read_image, read_video
from focal_common.errors import ConfigError


def write_video(path: Path, frames: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 64
        for index in range(frames):
            pixels = np.full((64, 64, 3), 20 * index, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


@pytest.mark.parametrize("index", range(len(PHOTOGRAPHS)))
def test_a_clip_is_the_same_for_the_same_seed_and_moves_slowly(index: int) -> None:
    one, again, other = (photograph_clip(index, 3, 32, seed) for seed in (1, 1, 2))
    pixels = [np.asarray(frame, dtype=np.float64) for frame in one.frames]
    assert [f.tobytes() for f in one.frames] == [f.tobytes() for f in again.frames]
    assert one.frames[0].tobytes() != other.frames[0].tobytes()
    assert 0 < np.abs(pixels[0] - pixels[2]).mean() < 64


@pytest.mark.parametrize(("width", "height"), [(70, 70), (133, 71), (64, 190)])
@pytest.mark.parametrize(
    ("processor", "scale", "size"),
    [
        (LlavaOnevisionImageProcessorPil, SIGLIP, {"height": 70, "width": 70}),
        (LlavaNextImageProcessorPil, CLIP, {"shortest_edge": 70}),
    ],
)
def test_image_pixels_equal_those_of_the_stock_processor(
    processor: Any, scale: PixelScale, size: dict[str, int], width: int, height: int
) -> None:
    pinpoints = [[70, 70], [70, 140], [140, 70], [140, 140], [210, 70]]
    picture = support.picture(3, width, height)
    pixels, sizes = anyres_pixels(picture, 70, pinpoints, scale)
    stock = processor(
        size=size,
        crop_size={"height": 70, "width": 70},
        image_grid_pinpoints=pinpoints,
        image_mean=list(scale[0]),
        image_std=list(scale[1]),
    )(picture, return_tensors="pt")
    assert sizes.tolist() == stock["image_sizes"].tolist()
    assert torch.allclose(pixels, stock["pixel_values"].to(torch.float32), atol=1e-6)


def test_frames_of_a_video_are_sampled_evenly(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", 10)
    sample = read_video(tmp_path / "clip.mp4", 4)
    shades = [round(float(np.asarray(frame).mean()) / 20) for frame in sample.frames]
    assert shades == [0, 3, 6, 9]
    assert len(read_video(tmp_path / "clip.mp4", 99).frames) == 10


def test_a_video_that_cannot_be_decoded_is_one_sentence(tmp_path: Path) -> None:
    good = tmp_path / "good.mp4"
    write_video(good, 10)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(good.read_bytes()[: good.stat().st_size // 3])
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(b"not a video at all")
    for path in (broken, noise):
        with pytest.raises(ConfigError, match=path.name):
            read_video(path, 4)
    with pytest.raises(ConfigError, match="no such file"):
        read_video(tmp_path / "absent.mp4", 4)


def test_a_container_without_frames_says_so(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), dtype=np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(ConfigError, match="no video stream"):
        read_video(path, 4)


def test_an_image_that_is_none_says_so(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(ConfigError, match=r"bad\.png: cannot be read as an image"):
        read_image(tmp_path / "bad.png")
    Image.new("L", (8, 8)).save(tmp_path / "grey.png")
    assert read_image(tmp_path / "grey.png").frames[0].mode == "RGB"
