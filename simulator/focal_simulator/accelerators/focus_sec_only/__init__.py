"""Focus with its semantic concentrator alone."""

from __future__ import annotations

from focal_simulator.jobs.corrections import Correction

CORRECTIONS = (
    Correction(
        "sec_only_unit",
        ("D7",),
        "Focus without similarity works on tiles of 512 rows and still has its scatter, gather and their power",
        "full tiles, no similarity hardware",
        order=8,
    ),
)
"""What the engine models otherwise than the published simulator for Focus without similarity alone."""
