"""CMC: codec-style motion compensation in front of a systolic array."""

from __future__ import annotations

from focal_simulator.jobs.corrections import Correction

CORRECTIONS = (
    Correction(
        "codec_overlap",
        ("D9",),
        "the motion search of CMC is free, and the input of gate and up is searched twice",
        "the motion search runs beside the array, once an input; what does not hide counts",
        order=6,
    ),
)
"""What the engine models otherwise than the published simulator for CMC alone."""
