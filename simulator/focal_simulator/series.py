"""Many designs on the same workloads: what a study evaluates, with what does not change between designs remembered.

`Series` remembers nothing and is the slow twin; `RememberingSeries` gives the same results bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from focal_simulator.accelerators.base import Accelerator
from focal_simulator.buffer_costs import BufferCost, SramChoice
from focal_simulator.reads import ReadMemo
from focal_simulator.specs import Component
from focal_simulator.workload import Workload

if TYPE_CHECKING:
    from focal_simulator.energy import RunResult
    from focal_simulator.fidelity import Fidelity

__all__ = ["Design", "Remember", "RememberingSeries", "Series", "defined_together"]

T = TypeVar("T")

_MOST_WORKLOADS = 16
_MOST_PARTS = 16


class Remember(Protocol):
    """Calls a function of an accelerator, or returns what it returned for a design it cannot tell apart."""

    def __call__(self, compute: Callable[[Any], T]) -> T:
        """Return ``compute(accelerator)``."""


class Design:
    """One design of a series.

    Args:
        accelerator: With its checked hardware.
        values: Value of each field in which designs of the series differ.
        sram: Buffer cost model.
    """

    __slots__ = ("accelerator", "sram", "values")

    def __init__(self, accelerator: Accelerator[Any], values: Mapping[str, Any], sram: SramChoice) -> None:
        self.accelerator, self.values, self.sram = accelerator, values, sram


class Series:
    """Asks the level of modelling anew for every design.

    Args:
        fidelity: Level of modelling.
    """

    def __init__(self, fidelity: Fidelity) -> None:
        self._fidelity = fidelity

    def costs(self, design: Design) -> tuple[BufferCost, ...]:
        """Return the buffers that are charged."""
        return self._fidelity.costs(design.accelerator, design.sram)

    def components(self, design: Design) -> tuple[Component, ...]:
        """Return the core logic that is charged."""
        return self._fidelity.components(design.accelerator)

    def simulate(self, design: Design, workload: Workload) -> RunResult:
        """Run one workload; raises `UnsupportedError` if it is not accepted."""
        design.accelerator.accepts(workload)
        return self._fidelity.simulate(design.accelerator, workload, design.sram)

    def remarks(self, design: Design, workload: Workload) -> list[str]:
        """Return sentences a reader of the result should know."""
        return design.accelerator.remarks(workload)


class RememberingSeries(Series):
    """Counts once for all designs that agree in what counting reads; prices each design by itself.

    Args:
        fidelity: Level of modelling whose `counted` and `priced` make up its `simulate`.
        fields: Dotted hardware fields in which designs differ.
    """

    def __init__(self, fidelity: Fidelity, fields: Collection[str]) -> None:
        super().__init__(fidelity)
        self._fields = tuple(fields)
        self._components = ReadMemo(self._fields)
        self._costs: dict[SramChoice, ReadMemo] = {}
        self._runs: dict[int, _WorkloadMemos] = {}

    def costs(self, design: Design) -> tuple[BufferCost, ...]:
        """Return the buffers that are charged."""
        memo = self._costs.get(design.sram)
        if memo is None:
            memo = self._costs[design.sram] = ReadMemo(self._fields)
        return _result(memo, design, lambda accelerator: self._fidelity.costs(accelerator, design.sram))

    def components(self, design: Design) -> tuple[Component, ...]:
        """Return the core logic that is charged."""
        return _result(self._components, design, self._fidelity.components)

    def simulate(self, design: Design, workload: Workload) -> RunResult:
        """Run one workload; raises `UnsupportedError` if it is not accepted."""
        memos = self._memos(workload)

        def counted(accelerator: Accelerator[Any], note: Callable[[str], None]) -> Any:
            accelerator.accepts(workload)

            def remember(compute: Callable[[Any], T]) -> T:
                return _result(memos.parts, design, compute, note)

            return self._fidelity.counted(accelerator, workload, remember)

        memo, hardware = memos.counts, design.accelerator.hardware
        counts = memo.result(
            hardware,
            design.values,
            lambda watched: counted(type(design.accelerator)(watched), watched.note),
        )
        costs, components = self.costs(design), self.components(design)
        return self._fidelity.priced(design.accelerator, counts, costs, components)

    def remarks(self, design: Design, workload: Workload) -> list[str]:
        """Return sentences a reader of the result should know."""
        memo = self._memos(workload).remarks
        return _result(memo, design, lambda accelerator: accelerator.remarks(workload))

    def _memos(self, workload: Workload) -> _WorkloadMemos:
        found = self._runs.get(id(workload))
        if found is None:
            if len(self._runs) >= _MOST_WORKLOADS:
                self._runs.pop(next(iter(self._runs)))
            found = self._runs[id(workload)] = _WorkloadMemos(workload, self._fields)
        return found


class _WorkloadMemos:
    """What is remembered of one workload.

    Args:
        workload: Held, so that no other one gets its identity.
        fields: Dotted hardware fields in which designs differ.
    """

    def __init__(self, workload: Workload, fields: Collection[str]) -> None:
        self.workload = workload
        self.counts, self.parts, self.remarks = (
            ReadMemo(fields),
            ReadMemo(fields, _MOST_PARTS),
            ReadMemo(fields),
        )


def _result(
    memo: ReadMemo,
    design: Design,
    compute: Callable[[Any], T],
    note: Callable[[str], None] | None = None,
) -> T:
    """Call a function of the accelerator through a memo of its hardware."""
    plugin = type(design.accelerator)
    return memo.result(
        design.accelerator.hardware, design.values, lambda watched: compute(plugin(watched)), note
    )


def defined_together(owner: type, *names: str) -> bool:
    """Return whether no class overrides one of these methods without the others."""
    for place in owner.__mro__:
        found = [name in vars(place) for name in names]
        if any(found):
            return all(found)
    return False
