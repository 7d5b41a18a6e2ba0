"""What a method decided, in memory: token counts, maps of tokens and counts per tile, layer by layer.

Independent of the GEMM inputs, which tiers 1 and 2 describe. Writing is in `focal_traces.records.file`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import TraceError
from focal_traces.header.schema import TraceHeader

Kind = Literal["tokens", "visual_tokens", "map", "made", "tile"]

KINDS: tuple[str, ...] = get_args(Kind)
"""``tokens`` and ``visual_tokens``: tokens present at a point, of those of the prompt. ``map``: for each token
present before a point, the token that stands for it after, -1 for none. ``made``: for each token present after
a point that the method made anew, of how many tokens it is the sum or mean, 0 for one that holds none of the
prompt's. ``tile``: tokens the method leaves to compute in each of its tiles, of those in the tile."""

WHOLE = -1
"""Head of a record that is not about one head."""


@dataclass(frozen=True, eq=False)
class Record:
    """One decision.

    Attributes:
        kind: Which of `KINDS`.
        layer: Decoder layer.
        point: Where in the layer, such as ``layer_input``, ``after_attention``, ``query``.
        index: Token (map) or tile, rising, axes (entries), int32; 0 for token counts.
        value: Tokens present, representative, or tokens left, same axes, int32.
        total: Of how many: tokens of the prompt, or tokens in the tile, same axes, int32.
        head: Attention head, or `WHOLE`.
    """

    kind: Kind
    layer: int
    point: str
    index: NDArray[np.int32]
    value: NDArray[np.int32]
    total: NDArray[np.int32]
    head: int = WHOLE

    @classmethod
    def of(
        cls,
        kind: Kind,
        layer: int,
        point: str,
        value: Any,
        total: Any,
        index: Any = None,
        head: int = WHOLE,
    ) -> Record:
        """Build a record from anything numpy reads; ``index`` counts from 0 where it is not given."""
        values = np.atleast_1d(np.asarray(value, dtype=np.int32))
        totals = np.broadcast_to(np.asarray(total, dtype=np.int32), values.shape)
        places = (
            np.arange(len(values), dtype=np.int32) if index is None else np.asarray(index, dtype=np.int32)
        )
        return cls(kind, layer, point, places, values, totals, head)

    def __eq__(self, other: object) -> bool:
        """Compare all fields."""
        if not isinstance(other, Record):
            return NotImplemented
        same = (self.kind, self.layer, self.point, self.head) == (
            other.kind,
            other.layer,
            other.point,
            other.head,
        )
        return same and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in ("index", "value", "total")
        )

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class RecordTrace:
    """A header and the records of each of its samples.

    Attributes:
        header: What was run.
        samples: Records in order of computation, one tuple per ``header.samples``.
    """

    header: TraceHeader
    samples: tuple[tuple[Record, ...], ...]


def check_records(trace: RecordTrace, where: str) -> None:
    """Check the records against the header and against themselves.

    Raises:
        TraceError: The first violation, naming file, sample and record.
    """
    if len(trace.samples) != len(trace.header.samples):
        raise TraceError(
            f"{where}: the header lists {len(trace.header.samples)} samples, but there are records of "
            f"{len(trace.samples)}"
        )
    for sample, records in enumerate(trace.samples):
        for record in records:
            wrong = _violation(record, trace.header.geometry.layers)
            if wrong:
                place = f"sample {sample}, layer {record.layer}, {record.point}, {record.kind}"
                raise TraceError(f"{where}: {place}: {wrong}")


def _violation(record: Record, layers: int) -> str:
    if record.kind not in KINDS:
        return f"unknown kind; expected one of {', '.join(KINDS)}"
    if not 0 <= record.layer < layers:
        return f"expected a layer below {layers}"
    if not len(record.index) == len(record.value) == len(record.total):
        return "columns of unequal length"
    if np.any(np.diff(record.index) <= 0) or np.any(record.index < 0):
        return "'index' must rise from 0 or more"
    least = -1 if record.kind == "map" else 0
    if np.any(record.value < least) or np.any(record.value > record.total):
        return f"'value' must lie from {least} to 'total'"
    if record.kind == "map":
        if not np.isin(record.value[record.value >= 0], record.index).all():
            return "a token is represented by one that is not there"
        stands = record.value[np.searchsorted(record.index, record.value[record.value >= 0])]
        if np.any(stands != record.value[record.value >= 0]):
            return "a representative must stand for itself"
    return ""
