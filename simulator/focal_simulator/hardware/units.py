"""The kinds of units whose work is counted, in one list."""

from __future__ import annotations

from focal_common.registry import Registry

__all__ = ["OUTSIDE_UNITS", "SERIAL_UNITS", "SIDE_UNITS", "UNITS"]

OUTSIDE_UNITS: Registry[str] = Registry("unit", {}, group="focal.units")
"""Units of other distributions: a name, which result columns will carry, to a sentence on what the unit does."""

SIDE_UNITS = ("sec", "sfu", "preprocess", *OUTSIDE_UNITS)
"""Units beside the array: ``sec`` sorts token importance, ``sfu`` computes special functions, ``preprocess`` is what an
accelerator does to the input of a GEMM."""

SERIAL_UNITS = SIDE_UNITS[2:]
"""Those that may also work before a GEMM, while the array waits."""

UNITS = ("array", "scatter", "gather", *SIDE_UNITS)
"""Every kind of unit, in the order of tables."""
