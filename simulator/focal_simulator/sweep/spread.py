"""The order in which chunks are handed to workers, where a trace takes long to make."""

from __future__ import annotations

import json
from collections.abc import Sequence

from focal_simulator.sweep.axes import METHOD, Space
from focal_simulator.sweep.store import Chunk

__all__ = ["traces_first"]


def traces_first(space: Space, chunks: Sequence[Chunk]) -> list[Chunk]:
    """Return the chunks with those that need a new trace first, each group in its order.

    Workers that take chunks in turn then make different traces, instead of waiting for the same one.
    """
    seen: set[str] = set()
    first: list[Chunk] = []
    rest: list[Chunk] = []
    for chunk in chunks:
        keys = set()
        for point in chunk.points:
            settings = space.settings(point.choices)
            own = {field: value for field, value in settings.items() if field.startswith(METHOD)}
            keys.add(json.dumps(own, sort_keys=True))
        (rest if keys <= seen else first).append(chunk)
        seen |= keys
    return first + rest
