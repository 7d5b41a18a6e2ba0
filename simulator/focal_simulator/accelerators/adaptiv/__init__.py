"""AdapTiV: tokens merged on the fly in front of a vector-parallel core."""

from __future__ import annotations

from focal_simulator.jobs.corrections import Correction

CORRECTIONS = (
    Correction(
        "adaptiv_attention",
        ("D10",),
        "AdapTiV pads heads of 128 to 256, meets un-merged keys, scores x V costs like Q x K^T, and GEMMs that "
        "share an input merge it again",
        "heads as they are, merged keys, scores x V timed by itself, each input merged once",
        order=7,
    ),
)
"""What the engine models otherwise than the published simulator for AdapTiV alone."""
