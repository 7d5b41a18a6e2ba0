"""An overlay as a file: one layer as a picture, or all of them as an animation or a page."""

from __future__ import annotations

from pathlib import Path

from focal_common.console import track
from focal_common.errors import ConfigError
from focal_evaluation.overlays.moving import write_gif, write_mp4
from focal_evaluation.overlays.page import write_page
from focal_evaluation.overlays.scene import Scene
from focal_evaluation.overlays.sheet import SheetMaker
from focal_evaluation.overlays.still import write_png

__all__ = ["check_name", "write_overlay"]

_KINDS = (".png", ".gif", ".mp4", ".html")


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
        write_png(maker.draw(layer).pixels, path)
        return
    sheets = (
        maker.draw(one).pixels for one in track(range(scene.layers), "drawing layers", total=scene.layers)
    )
    if kind == ".gif":
        write_gif(sheets, scene.looks, path)
    else:
        write_mp4(sheets, path)
