"""Focus with semantic concentration only: the ablation of Figure 11."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import UnsupportedError
from focal_simulator.accelerators.base import AcceleratorStudy, require_visual_tokens
from focal_simulator.accelerators.focus.accelerator import Focus, VectorRows
from focal_simulator.accelerators.focus.buffers import DENSE_BUFFERS, focus_buffers, macros_fit
from focal_simulator.accelerators.focus.lowering import sec_only_jobs
from focal_simulator.costs.needs import BufferNeed, SramModel
from focal_simulator.hardware.specs import Component
from focal_simulator.jobs.context import CycleContext
from focal_simulator.jobs.lowering import ArrayModel, Lowering
from focal_simulator.jobs.systolic import systolic_array
from focal_simulator.workload.layer_table import LayerTable, Numbers
from focal_simulator.workload.workload import Workload
from focal_traces.counts.trace import GemmTotals
from focal_traces.methods.focus import SCHEDULES


class FocusSecOnly(Focus):
    """Focus where every vector of a live token is computed.

    Paper: Focus, HPCA 2026, Figure 11 (ablation).
    Deviations: none known from the published simulator, which takes a tile of 512 rows, still charges the
    similarity units, and reports the activation size of full Focus. Where only the token schedule is known,
    the activation size is that of the schedule.
    """

    preset: ClassVar[str] = "focus_sec_only"
    # Nothing is said of the recorded tile, which does not matter without similarity.
    study: ClassVar[AcceleratorStudy] = AcceleratorStudy(
        uses_counts=True, summary_label=None, unit_formulas=Focus.study.unit_formulas
    )

    def accepts(self, workload: Workload) -> None:
        """Accept workloads with a Focus trace or a token schedule."""
        require_visual_tokens(self.name, workload)
        if workload.counts is None and workload.row(SCHEDULES) is None:
            raise UnsupportedError(f"{self.name}: {workload.label} has neither a trace nor a token schedule")

    def check_trace(self, workload: Workload, corrections: frozenset[str]) -> None:
        """Refuse nothing: without similarity the recorded tile does not matter."""

    def array(self, context: CycleContext) -> ArrayModel:
        """Return the array by itself, whose buffers are built for full passes."""
        return systolic_array(self.hardware, context, self.hardware.core.row_limit.value)

    def jobs(self, workload: Workload, context: CycleContext) -> Lowering:
        """Return the GEMMs of every block."""
        self.accepts(workload)
        return sec_only_jobs(self.hardware, _counted(workload), context)

    def live_tokens(self, workload: Workload) -> NDArray[np.int64]:
        """Return the tokens of the trace or of the schedule."""
        return super().live_tokens(_counted(workload))

    def buffers(self, corrections: frozenset[str] = frozenset()) -> tuple[BufferNeed, ...]:
        """Return the buffers of a dense array with full tiles; without ``sec_only_unit`` those published."""
        if "sec_only_unit" not in corrections:
            return super().buffers()
        hardware = self.hardware
        full = hardware.tiles.model_copy(update={"m_tile": hardware.core.row_limit})
        needs = focus_buffers(hardware.model_copy(update={"tiles": full}))
        return tuple(need for need in needs if need.name in DENSE_BUFFERS)

    def sram_model(self, corrections: frozenset[str] = frozenset()) -> SramModel:
        """Return the model of the dense array, which this is without its similarity hardware."""
        is_dense = "sec_only_unit" in corrections and macros_fit(self.hardware)
        return "compiler" if is_dense else super().sram_model()

    def components(self, corrections: frozenset[str] = frozenset()) -> tuple[Component, ...]:
        """Return the logic without similarity; without ``sec_only_unit`` that of Focus, as published."""
        return tuple(
            part
            for part in super().components()
            if "sec_only_unit" not in corrections or part.active_with not in ("scatter", "gather")
        )

    def layers(self, workload: Workload) -> LayerTable:
        """Return one row per block."""
        self.accepts(workload)
        return super().layers(_counted(workload))

    def rows(self, counts: GemmTotals) -> VectorRows:
        """Return rows without similarity; the activation counter still sees it, as published."""
        rows = super().rows(counts)
        return replace(rows, computed=rows.tokens, stored=rows.tokens)

    def attention_rows(self, rows: VectorRows, attention_tokens: Numbers) -> tuple[Numbers, Numbers]:
        """Return the slipped token number for both, hence the negative published terms."""
        return attention_tokens, attention_tokens


def _counted(workload: Workload) -> Workload:
    """Return the workload with its own counts, else with those of its token schedule."""
    return workload if workload.counts is not None else _scheduled(workload)


@lru_cache(maxsize=16)
def _scheduled(workload: Workload) -> Workload:
    """Return the same object each time, so that designs share what follows from it."""
    row = workload.row(SCHEDULES)
    assert row is not None  # noqa: S101  (accepts has refused it)
    return workload.with_schedule_counts(row.schedule)
