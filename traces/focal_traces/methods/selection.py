"""What a formula of selection work is given and returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import TraceError
from focal_traces.counts.trace import Trace
from focal_traces.header.schema import GEMMS, SampleHeader
from focal_traces.model_shape.geometry import DecoderGeometry


@dataclass(frozen=True, slots=True)
class SelectionWork:
    """Work of a method's own decisions in one prefill.

    Attributes:
        macs: Multiply-accumulates; one absolute difference, comparison of signs, or sum over attention
            counts as one. None where the trace does not tell.
        basis: What was counted, or why nothing could be.
    """

    macs: int | None
    basis: str


@dataclass(frozen=True)
class SelectionContext:
    """One sample of a trace, with the sizes that formulas need.

    Attributes:
        trace: Counts.
        index: Sample.
    """

    trace: Trace
    index: int

    @property
    def sample(self) -> SampleHeader:
        """Layout of the prompt."""
        return self.trace.header.samples[self.index]

    @property
    def geometry(self) -> DecoderGeometry:
        """Decoder."""
        return self.trace.header.geometry

    @property
    def parameters(self) -> dict[str, Any]:
        """Hyper-parameters of the method."""
        return self.trace.header.parameters

    @property
    def query_elements(self) -> int:
        """Width of all query heads."""
        return self.geometry.heads * self.geometry.head_dim_elements

    @property
    def text_tokens(self) -> int:
        """Text tokens of the prompt."""
        return self.sample.sequence_tokens - self.sample.visual_tokens

    @cached_property
    def tokens(self) -> NDArray[np.int64]:
        """Visual tokens present, axes (layers, GEMMS)."""
        return self.trace.totals(self.index).tokens

    def whole(self, name: str, default: int = 0) -> int:
        """Return a hyper-parameter that is a whole number from 0; raises `TraceError` for anything else."""
        return int(
            self._checked(name, default, "a whole number from 0", lambda one: type(one) is int and one >= 0)
        )

    def number(self, name: str, default: float) -> float:
        """Return a hyper-parameter that is a number; raises `TraceError` for anything else."""
        return float(self._checked(name, default, "a number", lambda one: type(one) in (int, float)))

    def numbers(self, name: str) -> list[float]:
        """Return a hyper-parameter that is a list of numbers, empty if it is not given; raises `TraceError`."""
        return self._list(name, "a list of numbers", lambda one: type(one) in (int, float))

    def layers(self, name: str) -> list[int]:
        """Return a hyper-parameter that lists layers of the decoder; raises `TraceError` for anything else."""
        count = self.geometry.layers
        return self._list(
            name, f"a list of layers 0 to {count - 1}", lambda one: type(one) is int and 0 <= one < count
        )

    def _list(self, name: str, what: str, is_good: Callable[[Any], bool]) -> list[Any]:
        return list(
            self._checked(name, [], what, lambda value: isinstance(value, list) and all(map(is_good, value)))
        )

    def _checked(self, name: str, default: Any, what: str, is_good: Callable[[Any], bool]) -> Any:
        value = self.parameters.get(name, default)
        if not is_good(value):
            where = f"header of {self.trace.header.model}/{self.trace.header.dataset}"
            raise TraceError(f"{where}: field 'parameters.{name}' is {value!r:.80}, expected {what}")
        return value

    def present(self, layer: int, gemm: str) -> int:
        """Return the visual tokens present at one GEMM input."""
        return int(self.tokens[layer, GEMMS.index(gemm)])


SelectionFormula = Callable[[SelectionContext], SelectionWork]


def nothing(context: SelectionContext) -> SelectionWork:
    """Return no work: nothing is decided."""
    return SelectionWork(0, "nothing is decided")


def unknown(what: str) -> SelectionWork:
    """Return that a formula lacks something."""
    return SelectionWork(None, f"the trace does not tell {what}")
