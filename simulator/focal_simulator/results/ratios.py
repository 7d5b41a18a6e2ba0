"""Speed-up and energy over the dense array: the only place where either is computed.

Every result row carries both, so that tables, figures and reports read what its own run compared and never put rows of
different settings into one quotient.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

DENSE: Final = "dense"
"""Registry name of the array that ratios are over."""

SPEEDUP: Final = "speedup_over_dense"
"""Column: time of the dense array over time of the row."""

ENERGY: Final = "energy_over_dense"
"""Column: energy of the row over energy of the dense array."""

BASIS: Final = "over dense in this run: same overrides and cost models"
"""What is said beside every ratio."""


def over_dense(seconds: float, energy_mj: float, dense: tuple[float, float] | None) -> dict[str, float | str]:
    """Return both ratios by column; empty text where there is nothing to divide by.

    Args:
        seconds: Time of an accelerator.
        energy_mj: Its energy.
        dense: Seconds and mJ of the dense array on the same workload in the same run; None where it was not run.
    """
    dense_seconds, dense_mj = dense or (0.0, 0.0)
    return {
        SPEEDUP: dense_seconds / seconds if dense_seconds and seconds else "",
        ENERGY: energy_mj / dense_mj if dense_mj else "",
    }


def ratio_cells(row: Mapping[str, object]) -> tuple[str, str]:
    """Return speed-up and energy of a row as tables print them."""
    speedup, energy = row[SPEEDUP], row[ENERGY]
    return "-" if speedup == "" else f"{speedup:.2f} x", "-" if energy == "" else f"{energy:.3f}"
