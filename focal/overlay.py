"""What a method kept, merged and dropped, drawn on the pictures the model saw."""

from __future__ import annotations

import html
from pathlib import Path

from focal_evaluation.overlays.files import check_name, png_of, write_overlay
from focal_evaluation.overlays.page import page_text
from focal_evaluation.overlays.scene import Scene
from focal_evaluation.overlays.sheet import SheetMaker

__all__ = ["Overlay"]

_NOTEBOOK_PIXELS = 720
"""Height of the frame in a notebook."""


class Overlay:
    """A drawing of one sample, with all layers behind a slider in a notebook.

    Attributes:
        layer: Decoder layer that is shown first.
        notes: Sentences for the reader.
    """

    def __init__(self, scene: Scene, layer: int, has_layer: bool) -> None:
        self.layer = layer
        self.notes = scene.notes
        self._scene, self._has_layer = scene, has_layer

    def __repr__(self) -> str:
        return f"<overlay: {self._scene.title}; {self.describe()}>"

    def describe(self, layer: int | None = None) -> str:
        """Return how many tokens are in which state behind a layer, in words."""
        scene = self._scene
        chosen = self.layer if layer is None else scene.check_layer(layer)
        counts = zip(scene.looks, scene.counts(chosen), strict=True)
        words = ", ".join(f"{count} {look.label}" for look, count in counts if count)
        return f"after layer {chosen}: {words}; of {scene.tokens} visual tokens"

    def counts(self, layer: int | None = None) -> dict[str, int]:
        """Return the visual tokens in each state behind a layer, by the name of the state."""
        chosen = self.layer if layer is None else self._scene.check_layer(layer)
        labels = [look.label for look in self._scene.looks]
        return dict(zip(labels, self._scene.counts(chosen), strict=True))

    def save(self, path: str | Path) -> Path:
        """Write the drawing and return its path: ``.png`` for one layer; ``.gif``, ``.mp4`` or ``.html`` for all.

        Raises:
            ConfigError: The name says none of these kinds.
            RunError: The file cannot be written.
        """
        target = Path(path)
        check_name(target, self.layer if self._has_layer else None)
        write_overlay(self._scene, self.layer, target)
        return target

    def _repr_png_(self) -> bytes:
        return png_of(SheetMaker(self._scene).draw(self.layer).pixels)

    def _repr_html_(self) -> str:
        page = html.escape(page_text(self._scene, self.layer), quote=True)
        return (
            f'<iframe srcdoc="{page}" style="width:100%;height:{_NOTEBOOK_PIXELS}px;border:0" '
            'sandbox="allow-scripts"></iframe>'
        )
