"""Why a cycle of the array passed: those of the GEMM kernel, then those of the units beside it."""

from __future__ import annotations

from focal_simulator.hardware.units import SIDE_UNITS
from focal_simulator.kernels.pipeline import CAUSES as GEMM_CAUSES

__all__ = ["CAUSES", "GEMM_CAUSES", "STALLS"]

CAUSES = (*GEMM_CAUSES, *SIDE_UNITS)
"""Those of the GEMM, then one for each unit beside the array. The array never idles without one of these reasons."""

STALLS = tuple(name for name in CAUSES if name not in ("stream", "fill_drain", "weight"))
"""Causes outside the array itself; the others are its compute time."""
