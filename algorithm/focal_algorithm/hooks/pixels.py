"""Pictures told back from the tensors that the vision tower was given, for traces of a user's own loop.

A stock processor hands over tensors only, and `generate` encodes them before the forward that hooks see.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor, nn

from focal_algorithm.models.base import ModelAdapter
from focal_algorithm.prompts.cells import kept_frames
from focal_algorithm.prompts.layout import SampleLayout
from focal_common.errors import FocalError, UnsupportedError
from focal_traces.frames.frames import SampleFrames

__all__ = ["TowerPixels", "watched_pixels"]


class _Seen(threading.local):
    """Calls of the tower in one thread, and whether a prefill has taken them."""

    def __init__(self) -> None:
        self.calls: list[tuple[Tensor, Tensor | None]] = []
        self.is_taken = False


@dataclass
class TowerPixels:
    """What the tower saw since the last prefill of a thread.

    Attributes:
        adapter: Family of the model.
        model: The model.
    """

    adapter: ModelAdapter
    model: Any
    _seen: _Seen = field(default_factory=_Seen)

    def see(self, pixels: Tensor, grids: Tensor | None) -> None:
        """Take one call of the tower.

        Args:
            pixels: Axes (pictures, channels, rows, columns), or (patches, elements) with ``grids``.
            grids: Frames, rows and columns in patches, axes (pictures or videos, 3).
        """
        if self._seen.is_taken:
            self._seen.calls, self._seen.is_taken = [], False
        self._seen.calls.append((pixels.detach(), grids))

    def skip(self) -> None:
        """Let go of what was seen."""
        self._seen.calls, self._seen.is_taken = [], True

    def frames(
        self, layouts: Sequence[SampleLayout], token_ids: Sequence[Tensor], questions: Sequence[str]
    ) -> list[SampleFrames | str | None]:
        """Return the pictures of each prompt of a batch.

        Args:
            layouts: Of the prompts.
            token_ids: Of each prompt without padding, axes (tokens).
            questions: Text that each was asked.

        Returns:
            For each prompt its pictures, None without visual tokens, or the sentence why there are none.
        """
        self._seen.is_taken = True
        if any(layout.pictures for layout in layouts):
            return ["a prompt holds several" if layout.visual_tokens else None for layout in layouts]
        try:
            parts = self._parts(layouts)
        except FocalError as refusal:
            return [str(refusal) if layout.visual_tokens else None for layout in layouts]
        found: list[SampleFrames | str | None] = []
        for index, layout in enumerate(layouts):
            if not layout.visual_tokens:
                found.append(None)
                continue
            own = token_ids[index][layout.visual_start : layout.visual_stop]
            is_video = bool(own[0] == self._token("video"))
            is_placeholder = (own == self._token("video")) | (own == self._token("image"))
            try:
                made = self.adapter.seen_cells(self.model, *parts[index], layout, is_video)
                marks = np.asarray(is_placeholder.cpu())
                found.append(kept_frames(made, marks, layout.sample_id, questions[index]))
            except FocalError as refusal:
                found.append(str(refusal))
        return found

    def _token(self, kind: str) -> int:
        return int(getattr(self.model.config, f"{kind}_token_id", None) or -1)

    def _parts(self, layouts: Sequence[SampleLayout]) -> dict[int, tuple[Tensor, Sequence[int] | None]]:
        """Return pixels and grid of each prompt with pictures, by its place in the batch."""
        maps = {
            index: self.adapter.visual_map(self.model, layout)
            for index, layout in enumerate(layouts)
            if layout.visual_tokens
        }
        left = list(self._pieces())
        found: dict[int, tuple[Tensor, Sequence[int] | None]] = {}
        # The tower sees images before videos, each in the order of the batch.
        for index in sorted(maps, key=lambda one: (maps[one].tower_call, one)):
            if not left:
                raise UnsupportedError(
                    f"{layouts[index].sample_id}: the vision tower saw fewer pictures than the prompts hold; "
                    "give pixels with every prompt"
                )
            pixels, grid = left.pop(0)
            if grid is not None:
                found[index] = (pixels, grid)
                continue
            count = maps[index].pictures
            found[index] = (pixels[:count], None)
            if len(pixels) > count:
                left.insert(0, (pixels[count:], None))
        if left:
            raise UnsupportedError(
                "the vision tower saw more pictures than the prompts hold; which belong to which is not known"
            )
        return found

    def _pieces(self) -> Iterator[tuple[Tensor, Sequence[int] | None]]:
        for pixels, grids in self._seen.calls:
            if grids is None:
                yield pixels, None
                continue
            start = 0
            for grid in grids.tolist():
                length = math.prod(grid)
                yield pixels[start : start + length], grid
                start += length


@contextmanager
def watched_pixels(adapter: ModelAdapter, model: Any) -> Iterator[TowerPixels | str]:
    """Watch what the vision tower is given inside a ``with`` block; give the sentence where it cannot be watched."""
    try:
        tower: nn.Module = adapter.vision_points(model).tower
    except UnsupportedError as refusal:
        yield str(refusal)
        return
    seen = TowerPixels(adapter, model)

    def look(_module: nn.Module, args: tuple[Any, ...], given: dict[str, Any]) -> None:
        pixels = args[0] if args else given.get("pixel_values", given.get("hidden_states"))
        if isinstance(pixels, Tensor):
            seen.see(pixels, given.get("grid_thw", args[1] if len(args) > 1 else None))

    handle = tower.register_forward_pre_hook(look, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()
