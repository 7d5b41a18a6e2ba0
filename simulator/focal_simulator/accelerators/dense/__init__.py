"""The dense systolic array that every ratio is taken over."""

from __future__ import annotations

from focal_simulator.jobs.corrections import Correction

CORRECTIONS = (
    Correction(
        "dense_buffers",
        ("D8",),
        "the dense array keeps four buffers that only concentration needs",
        "the dense array has input, weight and output buffers",
        order=9,
    ),
)
"""What the engine models otherwise than the published simulator for the dense array alone."""
