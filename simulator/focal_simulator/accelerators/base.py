"""The interface of an accelerator plug-in."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import ConfigError, UnsupportedError
from focal_simulator.costs.buffer_costs import BufferCost
from focal_simulator.costs.component_costs import priced_components, scale, word_ratio
from focal_simulator.costs.needs import LEAST_PORT_BYTES, BufferNeed, SramModel
from focal_simulator.hardware.specs import UNITS, Component, HardwareSpec
from focal_simulator.jobs.context import CycleContext
from focal_simulator.jobs.lowering import ArrayModel, Lowering
from focal_simulator.workload.layer_table import LayerTable
from focal_simulator.workload.workload import Workload
from focal_traces.header.schema import GEMMS


@dataclass(frozen=True)
class AcceleratorStudy:
    """Stands beside an accelerator class; one that needs other remarks gives an instance of a subclass.

    Attributes:
        uses_counts: Whether results depend on the vector counts of a trace, and so share their origin.
        states_operations: Whether the published result file states operation counts.
        summary_label: Row name in the area summary; empty for the label of the hardware file, None for a variant that
            shares another accelerator's row.
        summary_order: Place in the area summary; equal ones stand by name.
        has_breakdown: Whether a detailed power and area breakdown is written.
        unit_formulas: How many cycles a unit beside the array works, in words, by unit; ``focal explain`` shows them.
    """

    uses_counts: bool = False
    states_operations: bool = True
    summary_label: str | None = ""
    summary_order: int = 100
    has_breakdown: bool = False
    unit_formulas: Mapping[str, str] = field(default_factory=dict)

    def remarks(self, accelerator: Any, workload: Workload) -> list[str]:
        """Return sentences a reader of a result should know: by default, that special functions take no time."""
        if accelerator.hardware.special_functions:
            return []
        return [
            f"{accelerator.name}: its hardware names no special-function unit, so softmax, normalisation, activation "
            "and position embedding take no time on it"
        ]


H = TypeVar("H", bound=HardwareSpec)


class Accelerator(ABC, Generic[H]):
    """One accelerator: a frozen hardware value, and a lowering (`jobs`) of workloads to GEMMs on its array.

    The engine calls `accepts`, then `jobs`, and sums energy from components and buffers. It never asks which plug-in
    it holds; what it must know is declared here. An accelerator whose published simulator is reproduced is a
    `PublishedFormulas` as well; the others run in fidelity ``cycle`` only.

    Args:
        hardware: The checked hardware file.
    """

    hardware_model: ClassVar[type[HardwareSpec]]
    """Class that checks the hardware file."""

    preset: ClassVar[str]
    """What field ``accelerator`` of its hardware files says."""

    study: ClassVar[AcceleratorStudy] = AcceleratorStudy()
    """What tables, studies and explanations ask."""

    def __init__(self, hardware: H) -> None:
        self.hardware: H = hardware

    @property
    def name(self) -> str:
        """What sentences and result rows call it: its preset, or the own name of a hardware file with a base."""
        return self.hardware.accelerator

    def accepts(self, workload: Workload) -> None:
        """Raise `UnsupportedError` with the reason if the workload lacks what the model needs: by default, tokens."""
        require_visual_tokens(self.name, workload)

    @abstractmethod
    def jobs(self, workload: Workload, context: CycleContext) -> Lowering:
        """Return the GEMMs of an accepted workload and the array that runs them.

        Raises:
            ConfigError: The tiles do not fit the hardware.
        """

    def array(self, context: CycleContext) -> ArrayModel:
        """Return the array for GEMMs that nothing concentrates: vision tower, text, LM head, decode.

        Raises:
            UnsupportedError: The plug-in does not describe one.
        """
        raise UnsupportedError(
            f"{self.name}: does not describe its array, so only the decoder's prefill runs"
        )

    def live_tokens(self, workload: Workload) -> NDArray[np.int64]:
        """Return the tokens that special functions see, axes (blocks, GEMMs of a trace); all by default."""
        return np.full((workload.geometry.layers, len(GEMMS)), workload.visual_tokens, dtype=np.int64)

    def check_trace(self, workload: Workload, corrections: frozenset[str]) -> None:
        """Refuse a trace that fidelity ``cycle`` cannot bring onto this hardware; none is refused by default.

        Raises:
            UnsupportedError: It was recorded for tiles or vectors that do not fit.
        """

    def buffers(self, corrections: frozenset[str] = frozenset()) -> tuple[BufferNeed, ...]:
        """Return the buffers; by default the sizes written in the hardware file.

        Args:
            corrections: Names that are on; none for what a published simulator charges.
        """
        return tuple(self._stated_buffer(name) for name in self.hardware.buffers)

    def _stated_buffer(self, name: str, size_bytes: int | None = None) -> BufferNeed:
        """Return a buffer as the hardware file states it, in words of the operand that it holds.

        Args:
            name: Of the buffer.
            size_bytes: What one copy holds, where the file leaves it to the tiles.

        Raises:
            ConfigError: The file states no port, or a size neither it nor the tiles.
        """
        buffer, owner = self.hardware.buffers[name], f"buffers.{name}"
        words = word_ratio(self.hardware, buffer)
        size = size_bytes if buffer.size is None else buffer.size.value * words
        if size is None or buffer.port is None:
            raise ConfigError(f"{self.name}: buffer '{name}' needs the fields size and port")
        size = math.ceil(size * scale(self.hardware, buffer.follows, owner))
        port = max(math.ceil(buffer.port.value * words), LEAST_PORT_BYTES)
        return BufferNeed(name, size, port, buffer.copies.value)

    def sram_model(self, corrections: frozenset[str] = frozenset()) -> SramModel:
        """Return what prices the buffers where a run does not say it: macros where all have some, else CACTI."""
        return "compiler" if all(buffer.macros for buffer in self.hardware.buffers.values()) else "cacti"

    def components(self, corrections: frozenset[str] = frozenset()) -> tuple[Component, ...]:
        """Return the core logic in report order, priced; all of it by default, corrections as in `buffers`.

        Raises:
            ConfigError: See `priced_components`.
        """
        return priced_components(self.hardware)


@lru_cache(maxsize=4)  # as of `cycle_costs`
def all_components(accelerator: Accelerator[Any], corrections: frozenset[str]) -> tuple[Component, ...]:
    """Return the core logic of all arrays in report order; ``count`` is that of all of them."""
    parts, arrays = accelerator.components(corrections), accelerator.hardware.arrays.value
    if arrays == 1:
        return parts

    def in_all(part: Component) -> Component:
        count = part.count.model_copy(update={"value": part.count.value * arrays})
        return part.model_copy(update={"count": count})

    return tuple(in_all(part) for part in parts)


class PublishedFormulas(ABC):
    """What fidelity ``parity`` asks of an accelerator: the formulas of its published simulator."""

    preset: ClassVar[str]

    @abstractmethod
    def layers(self, workload: Workload) -> LayerTable:
        """Return cycles, operations and bytes of every layer of an accepted workload."""

    def swept_layer(self, workload: Workload) -> LayerTable:
        """Return the one layer that a published sweep of vector sizes times, fidelity ``parity_layer``.

        Raises:
            UnsupportedError: Nothing was published.
        """
        raise UnsupportedError(f"{self.preset}: fidelity parity_layer times vectors, which it has none of")


def check_accepted(accelerator: Accelerator[Any], workload: Workload) -> None:
    """Raise `UnsupportedError` if an accelerator cannot run a workload; given operators need its array alone."""
    if workload.operators:
        return
    if any(windows := workload.geometry.windows_tokens if workload.geometry is not None else ()):
        shortest = min(window for window in windows if window is not None)
        raise UnsupportedError(
            f"{accelerator.preset}: {workload.label} is of a decoder with windows (header field 'windows_tokens', the "
            f"shortest of {shortest}), and accelerators here are timed with causal attention over the whole prompt; "
            "expected a decoder without windows, or a list of its GEMMs in place of a trace"
        )
    accelerator.accepts(workload)


def beyond_timing(hardware: HardwareSpec, costs: Iterable[BufferCost]) -> str:
    """Return what is too slow for the clock, in words; nothing where all keeps up."""
    late = [
        f"buffer '{cost.name}' ({cost.access_ns:.3g} ns)"
        for cost in costs
        if hardware.is_beyond(cost.access_ns)
    ]
    if hardware.clock_is_beyond:
        late.insert(0, f"the logic ({hardware.timing.critical_path.value:g} ns)")
    return ", ".join(late)


def run_remarks(
    accelerator: Accelerator[Any], workload: Workload, costs: Iterable[BufferCost] = ()
) -> list[str]:
    """Return what a reader of a result should know; of given operators, which units of the accelerator idle.

    Args:
        accelerator: What ran.
        workload: What it ran.
        costs: Its buffers, where a clock that is too fast was allowed.
    """
    said = _unit_remarks(accelerator, workload)
    if late := beyond_timing(accelerator.hardware, costs):
        cycle = f"{1e9 / accelerator.hardware.clock.value:.3g} ns"
        said.insert(0, f"{accelerator.name}: beyond timing: a cycle of {cycle} is too short for {late}")
    return said


def _unit_remarks(accelerator: Accelerator[Any], workload: Workload) -> list[str]:
    if not workload.operators:
        return accelerator.study.remarks(accelerator, workload)
    has_vectors = any(one.kind == "vector" for one in workload.operators)
    said = AcceleratorStudy().remarks(accelerator, workload) if has_vectors else []
    units = {part.active_with for part in accelerator.components()} - {"array", "sfu"}
    if units:
        said.append(
            f"{accelerator.name}: {workload.label} is a list of GEMMs, without tokens or vectors to skip, so its array "
            f"runs all of them and its units {', '.join(one for one in UNITS if one in units)} idle"
        )
    return said


def published_formulas(accelerator: Accelerator[Any]) -> PublishedFormulas:
    """Return the published formulas of an accelerator; raises `UnsupportedError` if it has none."""
    if not isinstance(accelerator, PublishedFormulas):
        raise UnsupportedError(
            f"{accelerator.name}: no published simulator of it is reproduced, so it has no formulas for fidelity "
            "parity; use fidelity cycle"
        )
    return accelerator


def require_visual_tokens(name: str, workload: Workload) -> None:
    """Raise `UnsupportedError` if a workload has nothing to time."""
    if workload.visual_tokens < 1:
        raise UnsupportedError(
            f"{name}: {workload.label} has no visual tokens, and only visual tokens are timed"
        )
