"""Accelerators built for one method of dropping tokens, and the traces of other methods on them.

A method that drops or merges whole tokens makes every GEMM shorter, on any hardware: its token counts run, nothing else
does. Replaced single vectors need a unit that these accelerators do not have.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import UnsupportedError
from focal_simulator.accelerators.base import (
    Accelerator,
    AcceleratorStudy,
    H,
    PublishedFormulas,
    require_visual_tokens,
)
from focal_simulator.jobs.context import CycleContext
from focal_simulator.jobs.lowering import Lowering
from focal_simulator.jobs.tokens import array_token_jobs
from focal_simulator.workload.layer_table import LayerTable
from focal_simulator.workload.workload import Workload

_BESIDE_TABLES = "focus"
"""A trace of Focus comes with tables of the baselines' own sparsities, which are what they run then."""


class TokenMethodAccelerator(Accelerator[H], PublishedFormulas):
    """An accelerator that carries out the method of its name; `accepts` and the rest decide whose tokens run."""

    def runs_other(self, workload: Workload) -> bool:
        """Return whether the counts of a workload come from another method than the accelerator's own."""
        return workload.counts is not None and workload.method not in ("", _BESIDE_TABLES, self.preset)

    @abstractmethod
    def accepts_own(self, workload: Workload) -> None:
        """Raise `UnsupportedError` if a workload lacks what the own method needs."""

    @abstractmethod
    def own_jobs(self, workload: Workload, context: CycleContext) -> Lowering:
        """Return the GEMMs with the own method."""

    @abstractmethod
    def own_layers(self, workload: Workload) -> LayerTable:
        """Return the published formulas of the own method."""

    def own_tokens(self, workload: Workload) -> NDArray[np.int64]:
        """Return the tokens that the own method leaves: all, unless it drops or merges some."""
        return super().live_tokens(workload)

    def accepts(self, workload: Workload) -> None:
        """Accept what the own method needs, and whole tokens that another method kept."""
        require_visual_tokens(self.name, workload)
        if not self.runs_other(workload):
            self.accepts_own(workload)
        elif (counts := workload.counts) and (counts.unique < counts.tokens * counts.slices).any():
            raise UnsupportedError(
                f"{self.name}: the trace of method '{workload.method}' for {workload.label} leaves out single "
                f"vectors, and accelerator '{self.name}' has no unit that skips them; expected a trace of whole "
                f"tokens, or of method '{self.preset}'"
            )

    def live_tokens(self, workload: Workload) -> NDArray[np.int64]:
        """Return the tokens that the own method or the other one left."""
        return workload.kept_tokens if self.runs_other(workload) else self.own_tokens(workload)

    def jobs(self, workload: Workload, context: CycleContext) -> Lowering:
        """Return the GEMMs of every block."""
        self.accepts(workload)
        if self.runs_other(workload):
            return array_token_jobs(self.array(context), workload, context)
        return self.own_jobs(workload, context)

    def layers(self, workload: Workload) -> LayerTable:
        """Return one row that stands for every block; kept rows are real-valued, as published."""
        self.accepts(workload)
        if self.runs_other(workload):
            raise UnsupportedError(
                f"{self.name}: the published formulas know its own method only, not '{workload.method}'; "
                "use fidelity cycle"
            )
        return self.own_layers(workload)


class TokenMethodStudy(AcceleratorStudy):
    """Says where another method's tokens were run."""

    def remarks(self, accelerator: Any, workload: Workload) -> list[str]:
        """Return the sentence that goes with such a result; none for the accelerator's own method."""
        if not accelerator.runs_other(workload):
            return []
        own = accelerator.preset
        return [
            f"{accelerator.name}: {workload.label} runs the token counts of method '{workload.method}' layer by layer; "
            f"the hardware of method '{own}' idles"
        ]
