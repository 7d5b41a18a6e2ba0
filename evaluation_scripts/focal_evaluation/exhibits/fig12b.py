"""Figure 12(b) of the Focus paper (HPCA 2026): input activations relative to the dense systolic array."""

from __future__ import annotations

from typing import Any

from focal_evaluation.claims.results import Material
from focal_evaluation.exhibits.base import Exhibit, ExhibitTable, answers
from focal_evaluation.exhibits.memory import memory_figure, memory_table

__all__ = ["EXHIBIT"]


def table(material: Material) -> ExhibitTable:
    """Return bytes relative to dense by model and method."""
    return memory_table(material, "activation_bytes")


def draw(made: ExhibitTable) -> Any:
    """Return the figure."""
    return memory_figure(made, "Input activations")


EXHIBIT = Exhibit(
    name="fig12b",
    title="Figure 12(b): input activations",
    needs=frozenset({"main"}),
    claims=answers(fig_12="activation"),
    table=table,
    draw=draw,
)
