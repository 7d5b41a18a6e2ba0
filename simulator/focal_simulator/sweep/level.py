"""The level of modelling of a study, behind one interface: what it charges and how it simulates."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from focal_simulator.accelerators.base import Accelerator
from focal_simulator.costs.sram import SramTable
from focal_simulator.energy import RunResult
from focal_simulator.fidelity import Fidelity
from focal_simulator.runner import FIDELITIES, Settings
from focal_simulator.series import Series
from focal_simulator.sweep.study import Study
from focal_simulator.workload import Workload

__all__ = ["Level"]


class Level:
    """A fidelity with the settings of a study; the only place of a sweep that knows how fidelities are called.

    Args:
        study: For its fidelity.
    """

    def __init__(self, study: Study) -> None:
        settings = Settings(
            accelerators=(study.accelerator,),
            fidelity=study.fidelity,
            corrections=study.corrections,
            sram=study.sram,
        )
        self._fidelity: Fidelity = FIDELITIES.load(study.fidelity)(settings)

    def check_fields(self, fields: Iterable[str]) -> None:
        """Raise `ConfigError` if a field of the study changes nothing in this fidelity."""
        self._fidelity.check_fields(fields, "study:")

    def check_hardware(self, accelerator: Accelerator[Any]) -> None:
        """Raise `ConfigError` if a design names a memory system or a buffer node that does not exist."""
        self._fidelity.check_hardware(accelerator.hardware)
        SramTable.embedded().check_node(accelerator.hardware.sram_node.value)

    def check_trace(self, accelerator: Accelerator[Any], workload: Workload) -> None:
        """Raise `UnsupportedError` if a design cannot run a workload because of how it was recorded."""
        self._fidelity.check_trace(accelerator, workload)

    def column_names(self) -> Sequence[str]:
        """Return the names that `columns` may give."""
        return self._fidelity.column_names()

    def series(self, fields: Collection[str]) -> Series:
        """Return what evaluates designs that differ in these hardware fields."""
        return self._fidelity.series(fields)

    def columns(self, result: RunResult) -> Mapping[str, float]:
        """Return further numbers of one run, such as cycles by cause; none in parity."""
        columns = self._fidelity.columns(result)
        return {name: float(value) for name, value in columns.items() if isinstance(value, int | float)}
