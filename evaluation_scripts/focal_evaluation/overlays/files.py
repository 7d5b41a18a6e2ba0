"""An overlay as a file: one layer as a picture, or all of them as an animation or a page."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from focal_common.console import track
from focal_common.errors import ConfigError, RunError, UnsupportedError
from focal_common.files import atomic_path, atomic_write_bytes
from focal_evaluation.overlays.looks import Look
from focal_evaluation.overlays.page import write_page
from focal_evaluation.overlays.scene import Scene
from focal_evaluation.overlays.sheet import SheetMaker

_KINDS = (".png", ".gif", ".mp4", ".html")
_LAYER_MS = 700
_FRAMES_PER_LAYER, _FRAMES_PER_SECOND = 7, 10
_COLOURS = 256


def check_name(path: Path, layer: int | None) -> None:
    """Refuse a file name that says no kind of overlay, or one layer of an animation; raises `ConfigError`."""
    kind = path.suffix.lower()
    if kind not in _KINDS:
        raise ConfigError(f"output {path}: expected a name that ends in {', '.join(_KINDS)}")
    if layer is not None and kind in (".gif", ".mp4"):
        raise ConfigError(f"layer {layer}: a {kind} shows all layers; give a layer with .png or .html")


def write_overlay(scene: Scene, layer: int, path: Path) -> None:
    """Write a scene in the kind that the name of the file says.

    Args:
        scene: What to show.
        layer: The one of a PNG, and the first of a page; GIF and MP4 show all of them.
        path: File to write; see `check_name`.

    Raises:
        RunError: The file cannot be written.
    """
    kind = path.suffix.lower()
    if kind == ".html":
        write_page(scene, layer, path)
        return
    maker = SheetMaker(scene)
    if kind == ".png":
        atomic_write_bytes(path, png_of(maker.draw(layer).pixels))
        return
    sheets = (
        maker.draw(one).pixels for one in track(range(scene.layers), "drawing layers", total=scene.layers)
    )
    if kind == ".gif":
        write_gif(sheets, scene.looks, path)
    else:
        write_mp4(sheets, path)


def png_of(sheet: NDArray[np.uint8]) -> bytes:
    """Return a sheet, axes (rows, columns, 3), uint8, as PNG; equal sheets give equal bytes."""
    sink = BytesIO()
    Image.fromarray(sheet).save(sink, format="PNG", optimize=True)
    return sink.getvalue()


def write_gif(sheets: Iterable[NDArray[np.uint8]], looks: tuple[Look, ...], path: Path) -> None:
    """Write sheets as an endless GIF; the colours of edges stay exact.

    Args:
        sheets: One per layer, axes (rows, columns, 3), uint8.
        looks: Whose colours must survive.
        path: File to write.

    Raises:
        RunError: The file cannot be written.
    """
    frames: list[Image.Image] = []
    palette: Image.Image | None = None
    for sheet in sheets:
        image = Image.fromarray(sheet)
        palette = palette or _palette(image, looks)
        frames.append(image.quantize(palette=palette, dither=Image.Dither.NONE))
    with atomic_path(path) as temporary:
        frames[0].save(
            temporary, format="GIF", save_all=True, append_images=frames[1:], duration=_LAYER_MS, loop=0
        )


def _palette(image: Image.Image, looks: tuple[Look, ...]) -> Image.Image:
    """Return a palette of the first sheet, with black, white and the colours of edges."""
    fixed = [(0, 0, 0), (255, 255, 255), *dict.fromkeys(look.edge for look in looks)]
    found = image.quantize(_COLOURS - len(fixed), method=Image.Quantize.MEDIANCUT).getpalette() or []
    values = [value for colour in fixed for value in colour] + found[: 3 * (_COLOURS - len(fixed))]
    made = Image.new("P", (1, 1))
    made.putpalette(values + [0] * (3 * _COLOURS - len(values)))
    return made


def write_mp4(sheets: Iterable[NDArray[np.uint8]], path: Path) -> None:
    """Write sheets as H.264 video, on one thread so that equal sheets give equal bytes.

    Raises:
        UnsupportedError: PyAV is not installed.
        RunError: The file cannot be written or the encoder fails.
    """
    try:
        import av
    except ImportError as error:
        raise UnsupportedError("writing MP4 needs PyAV: pip install av, or choose .gif or .html") from error
    try:
        with atomic_path(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
            stream: Any = None
            for sheet in sheets:
                # H.264 stores colour at half resolution, which needs even sides.
                rows, columns = (-(-side // 2) * 2 for side in sheet.shape[:2])
                even = np.full((rows, columns, 3), 255, dtype=np.uint8)
                even[: sheet.shape[0], : sheet.shape[1]] = sheet
                if stream is None:
                    # With macroblock-tree rate control about one file in ten of equal frames has other bytes.
                    options = {"crf": "20", "threads": "1", "preset": "medium", "x264-params": "mbtree=0"}
                    stream = container.add_stream("libx264", rate=_FRAMES_PER_SECOND, options=options)
                    stream.width, stream.height, stream.pix_fmt = columns, rows, "yuv420p"
                    stream.codec_context.thread_count = 1
                for _ in range(_FRAMES_PER_LAYER):
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
            if stream is not None:
                container.mux(stream.encode(None))
    except (av.FFmpegError, ValueError) as error:
        raise RunError(f"{path}: the video could not be encoded ({error}); choose .gif or .html") from error
