"""No compression: the reference every method is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from focal_algorithm.layout import SampleLayout
from focal_algorithm.methods.base import CompressionMethod, HookPoint
from focal_traces.schema import DecoderGeometry

__all__ = ["Dense"]


@dataclass(frozen=True, kw_only=True)
class Dense(CompressionMethod):
    """The untouched model.

    Paper: none (reference).
    Deviations: none.
    """

    name: ClassVar[str] = "dense"
    paper: ClassVar[str] = "none (reference)"
    hook_points: ClassVar[frozenset[HookPoint]] = frozenset()
    changes_length: ClassVar[bool] = False
    trace_folder: ClassVar[str] = "dense"

    @property
    def reads_question(self) -> bool:
        """Nothing is done."""
        return False

    def start(self, geometry: DecoderGeometry, layout: SampleLayout) -> None:
        """Return no state."""
        return None
