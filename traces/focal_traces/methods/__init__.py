"""What single methods add to traces: what their decisions cost, and tables of a root. Listing imports nothing."""

from __future__ import annotations

from functools import cache
from typing import Any

from focal_common.registry import Registry
from focal_traces.methods.selection import SelectionContext, SelectionFormula, SelectionWork
from focal_traces.tables.table import PairTable

__all__ = ["SELECTION", "TABLES", "SelectionContext", "SelectionFormula", "SelectionWork", "method_tables"]

SELECTION: Registry[SelectionFormula] = Registry(
    "selection formula",
    {
        "adaptiv": "focal_traces.methods.adaptiv:work",
        "cdpruner": "focal_traces.methods.formulas:cdpruner",
        "cmc": "focal_traces.methods.cmc:work",
        "dart": "focal_traces.methods.formulas:dart",
        "dense": "focal_traces.methods.selection:nothing",
        "divprune": "focal_traces.methods.formulas:divprune",
        "dycoke": "focal_traces.methods.videos:dycoke",
        "evs": "focal_traces.methods.videos:evs",
        "fastv": "focal_traces.methods.formulas:fastv",
        "fastvid": "focal_traces.methods.videos:fastvid",
        "focus": "focal_traces.methods.focus:work",
        "focus_sec_only": "focal_traces.methods.focus:work",
        "framefusion": "focal_traces.methods.formulas:framefusion",
        "holitom": "focal_traces.methods.videos:holitom",
        "prumerge": "focal_traces.methods.formulas:prumerge",
        "prumerge_plus": "focal_traces.methods.formulas:prumerge",
        "pyramiddrop": "focal_traces.methods.formulas:pyramiddrop",
        "sparsevlm": "focal_traces.methods.formulas:sparsevlm",
        "sparsezip": "focal_traces.methods.formulas:sparsezip",
        "visionzip": "focal_traces.methods.formulas:visionzip",
        "zip_parts": "focal_traces.methods.formulas:zip_parts",
    },
    group="focal.selection",
)
"""One line per method that has a formula; without one the ledger says that its decisions are not counted. Other
distributions add theirs under the entry-point group ``focal.selection``."""

TABLES: Registry[PairTable[Any]] = Registry(
    "table of a trace root",
    {
        "adaptiv_sparsity": "focal_traces.methods.adaptiv:SPARSITY",
        "cmc_sparsity": "focal_traces.methods.cmc:SPARSITY",
        "schedules": "focal_traces.methods.focus:SCHEDULES",
    },
    group="focal.root_tables",
)
"""Tables beside ``meta_data.csv`` that methods write and accelerators read. Other distributions add theirs under the
entry-point group ``focal.root_tables``."""


@cache
def method_tables() -> tuple[PairTable[Any], ...]:
    """Return every registered table, by name."""
    return tuple(TABLES.load(name) for name in TABLES)
