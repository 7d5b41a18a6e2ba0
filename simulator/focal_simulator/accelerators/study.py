"""What tables, studies and explanations ask of an accelerator; every question has an answer that suits a new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from focal_simulator.workload.workload import Workload

__all__ = [
    "AcceleratorStudy",
]


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
            f"{accelerator.preset}: its hardware names no special-function unit, so softmax, normalisation, activation "
            "and position embedding take no time on it"
        ]
