"""What an exhibit is: a table of numbers made from results, drawn once, with the published claims it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from focal_evaluation.claims.claims import Claim
    from focal_evaluation.claims.results import Results

DONE = "ok"
"""Status of a row that holds a number; any other status says why it does not."""


@dataclass(frozen=True, slots=True)
class ExhibitTable:
    """The numbers of an exhibit.

    Attributes:
        frame: Long table. Columns end in their unit; ``origin`` says how a number came to be and ``status`` is
            `DONE`, or why the number is absent. What is drawn is what stands here.
        notes: Sentences for the foot of the figure.
    """

    frame: pd.DataFrame
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One figure or table.

    Attributes:
        name: As on the command line, such as ``fig9a``.
        title: One line.
        needs: Result sets it reads: ``main``, ``int8``, ``sweeps``, ``tiles``.
        fidelities: Levels of modelling it exists in.
        claims: Which published claims it answers.
        table: Makes the numbers; raises `TraceError` where the results do not hold them.
        draw: Draws the table; returns a figure. Called inside `focal_evaluation.exhibits.style.style`.
        both: Whether it sets two fidelities side by side.
    """

    name: str
    title: str
    needs: frozenset[str]
    claims: Callable[[Claim], bool]
    table: Callable[[Results], ExhibitTable]
    draw: Callable[[ExhibitTable], Any]
    fidelities: tuple[str, ...] = ("parity", "cycle")
    both: bool = False


def answers(*exhibits: str, **quantities: str) -> Callable[[Claim], bool]:
    """Return a choice of claims.

    Args:
        *exhibits: Names in the column ``exhibit``, taken whole.
        **quantities: Of these exhibits, only claims whose quantity starts so.
    """

    def chosen(claim: Claim) -> bool:
        if claim.exhibit in exhibits:
            return True
        start = quantities.get(claim.exhibit)
        return start is not None and claim.quantity.startswith(start)

    return chosen
