"""Figure 12(a) of the Focus paper (HPCA 2026): DRAM access relative to the dense systolic array."""

from __future__ import annotations

from typing import Any

from focal_evaluation.claims.results import Material
from focal_evaluation.exhibits.base import Exhibit, ExhibitTable, answers
from focal_evaluation.exhibits.memory import memory_figure, memory_table

__all__ = ["EXHIBIT"]


def table(material: Material) -> ExhibitTable:
    """Return bytes relative to dense by model and method."""
    return memory_table(material, "dram_bytes")


def draw(made: ExhibitTable) -> Any:
    """Return the figure."""
    return memory_figure(made, "DRAM access")


EXHIBIT = Exhibit(
    name="fig12a",
    title="Figure 12(a): DRAM access",
    needs=frozenset({"main"}),
    claims=answers(fig_12="dram"),
    table=table,
    draw=draw,
)
