"""What one picture says: the states of all tokens at all layers, of one method or of two compared."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import ConfigError
from focal_evaluation.exhibits.style import label
from focal_evaluation.overlays.loading import ShownSample
from focal_evaluation.overlays.looks import DIFFERENCE_LOOKS, STATUS_LOOKS, Look
from focal_traces.frames.frames import SampleFrames
from focal_traces.records.token_status import TokenStatus

SEPARATOR = "; "
"""Between parameters; values may hold commas."""

_NAMES = {"dense": "Dense", "sparsevlm": "SparseVLM", "sparsezip": "SparseZip", "visionzip": "VisionZip"}
"""Methods that are no accelerator, or are called otherwise there."""


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything a drawing needs.

    Attributes:
        title: Method, or the two of them.
        facts: Model, sample, question: one line each.
        frames: Cells and labels.
        pictures: Axes (rows, columns, 3), uint8.
        states: Axes (layers, S), uint8, places in ``looks``.
        looks: How states are drawn.
        shares: As `ShownSample`.
        represented_by: As `SampleTokenStatus.represented_by`; None for a comparison.
        notes: Sentences below the picture.
    """

    title: str
    facts: tuple[str, ...]
    frames: SampleFrames
    pictures: tuple[NDArray[np.uint8], ...]
    states: NDArray[np.uint8]
    looks: tuple[Look, ...]
    shares: NDArray[np.float32] | None
    represented_by: NDArray[np.int32] | None
    notes: tuple[str, ...]

    @property
    def layers(self) -> int:
        """Decoder layers."""
        return len(self.states)

    @property
    def tokens(self) -> int:
        """S, visual tokens before the method."""
        return int(self.states.shape[1])

    def counts(self, layer: int) -> list[int]:
        """Return the tokens in each state behind a layer, in the order of ``looks``."""
        counts: list[int] = np.bincount(self.states[layer], minlength=len(self.looks)).tolist()
        return counts

    def kept(self, layer: int) -> int:
        """Return the tokens that count as kept behind a layer."""
        return sum(count for count, look in zip(self.counts(layer), self.looks, strict=True) if look.counts)

    def check_layer(self, layer: int | None) -> int:
        """Return a layer that exists, the last if none is asked for.

        Raises:
            ConfigError: There is no such layer.
        """
        if layer is None:
            return self.layers - 1
        if not 0 <= layer < self.layers:
            raise ConfigError(f"layer {layer}: the trace has layers 0 to {self.layers - 1}")
        return layer


def status_scene(shown: ShownSample) -> Scene:
    """Return the picture of one method."""
    header = shown.header
    looks = STATUS_LOOKS
    if not shown.token_status.knows_merging:
        looks = tuple(
            replace(look, label="dropped or merged") if status == TokenStatus.DROPPED else look
            for status, look in zip(TokenStatus, looks, strict=True)
        )
    return Scene(
        title=_name(header.method),
        facts=(*_facts(shown), _parameters(header.parameters)),
        frames=shown.frames,
        pictures=shown.pictures,
        states=shown.token_status.status,
        looks=looks,
        shares=shown.shares,
        represented_by=shown.token_status.represented_by,
        notes=shown.notes,
    )


def difference_scene(one: ShownSample, two: ShownSample) -> Scene:
    """Return the picture of which of two methods kept which tokens.

    Raises:
        ConfigError: They did not see the same pictures and question with the same model.
    """
    _check_same(one, two)
    first, second = one.token_status.is_kept, two.token_status.is_kept
    states = np.select([first & second, first, second], [0, 1, 2], 3).astype(np.uint8)
    names = [_name(shown.header.method) for shown in (one, two)]
    if names[0] == names[1]:
        names = [f"{name}, {shown.path.parent.name}" for name, shown in zip(names, (one, two), strict=True)]
    words = [
        f"{mark} = {name} ({_parameters(shown.header.parameters)})"
        for mark, name, shown in zip("AB", names, (one, two), strict=True)
    ]
    looks = tuple(
        replace(look, label=f"{look.label} ({names[place - 1]})") if place in (1, 2) else look
        for place, look in enumerate(DIFFERENCE_LOOKS)
    )
    return Scene(
        title=f"A: {names[0]}, B: {names[1]}",
        facts=(*words, *_facts(one)),
        frames=one.frames,
        pictures=one.pictures,
        states=states,
        looks=looks,
        shares=None,
        represented_by=None,
        notes=tuple(dict.fromkeys((*one.notes, *two.notes))),
    )


def _check_same(one: ShownSample, two: ShownSample) -> None:
    pairs: list[tuple[str, Any, Any]] = [
        ("model", one.header.model, two.header.model),
        ("checkpoint", one.header.checkpoint, two.header.checkpoint),
        ("layers", one.header.geometry.layers, two.header.geometry.layers),
        ("sample", one.sample_id, two.sample_id),
        ("visual tokens", len(one.frames.cells), len(two.frames.cells)),
        ("question", one.frames.question, two.frames.question),
    ]
    for name, mine, other in pairs:
        if mine != other:
            raise ConfigError(
                f"the two traces have unequal inputs: {name} is {mine!r} in {one.path} and {other!r} in "
                f"{two.path}"
            )
    same_cells = np.array_equal(one.frames.cells, two.frames.cells)
    if not same_cells or [p.png for p in one.frames.pictures] != [p.png for p in two.frames.pictures]:
        raise ConfigError(
            f"the two traces have unequal inputs: the pictures of sample {one.sample_id} differ between "
            f"{one.path} and {two.path}"
        )


def _name(method: str) -> str:
    return _NAMES.get(method) or label(method)


def _facts(shown: ShownSample) -> tuple[str, ...]:
    header = shown.header
    weights = (
        "random weights" if header.checkpoint.startswith("random:") else f"checkpoint {header.checkpoint}"
    )
    lines = [
        f"{header.model}, {weights}, {header.origin}; sample {shown.index}: {shown.sample_id}",
        f"question: {shown.frames.question}" if shown.frames.question else "",
    ]
    return tuple(line for line in lines if line)


def _parameters(parameters: dict[str, Any]) -> str:
    skipped = ("vector_size", "m_tile")
    words = [
        f"{name} {json.dumps(value, ensure_ascii=False)}"
        for name, value in parameters.items()
        if name not in skipped
    ]
    # Not what came of it: a number that a method chooses per picture is in the counts.
    return f"configured: {SEPARATOR.join(words)}" if words else "no parameters"
