"""What a method's own decisions cost, one formula per method. Listing names imports nothing."""

from __future__ import annotations

from focal_common.registry import Registry
from focal_traces.work.selection.base import SelectionContext, SelectionFormula, SelectionWork

__all__ = ["SELECTION", "SelectionContext", "SelectionFormula", "SelectionWork"]

SELECTION: Registry[SelectionFormula] = Registry(
    "selection formula",
    {
        "adaptiv": "focal_traces.work.selection.adaptiv:work",
        "cmc": "focal_traces.work.selection.cmc:work",
        "dense": "focal_traces.work.selection.base:nothing",
        "divprune": "focal_traces.work.selection.divprune:work",
        "fastv": "focal_traces.work.selection.fastv:work",
        "focus": "focal_traces.work.selection.focus:work",
        "focus_sec_only": "focal_traces.work.selection.focus:work",
        "framefusion": "focal_traces.work.selection.framefusion:work",
        "sparsevlm": "focal_traces.work.selection.sparsevlm:work",
        "sparsezip": "focal_traces.work.selection.sparsezip:work",
        "visionzip": "focal_traces.work.selection.visionzip:work",
        "zip_parts": "focal_traces.work.selection.zip_parts:work",
    },
    group="focal.selection",
)
"""One line per method that has a formula; without one the ledger says that its decisions are not counted. Other
distributions add theirs under the entry-point group ``focal.selection``."""
