"""What the study runs on."""

from __future__ import annotations

from dataclasses import dataclass

from focal_common.errors import ConfigError, near_matches

__all__ = ["FIXED_TOTAL", "PARTS", "SWEEP_TOTAL", "StudySettings"]

PARTS = ("curve", "two_by_two", "audit", "adaptive", "sweep", "policy", "latency")

FIXED_TOTAL = 64
"""Total of adaptive K, policies and latency: the published one of VisionZip."""

SWEEP_TOTAL = 21
"""Total of the sweep: that of the published runs of 30 November. At 64 of 144 tokens nothing is lost that a knob could
win back."""


@dataclass(frozen=True)
class StudySettings:
    """What the study runs on.

    Attributes:
        pope_pictures: Pictures of shapes-pope.
        mme_pictures: Pictures of shapes-mme.
        seed: Of the data.
        budgets: Totals of the curve: 21 and 64 are those of the published runs of 30 November, 87 of the last published
            configuration, 128 of the paper.
        square_budgets: Totals of the 2 x 2 design.
        parts: Of `PARTS`.
        timed_pictures: Pictures of the latency part.
    """

    pope_pictures: int = 60
    mme_pictures: int = 240
    seed: int = 0
    budgets: tuple[int, ...] = (21, 32, 64, 87, 128)
    square_budgets: tuple[int, ...] = (21, 32, 64)
    parts: tuple[str, ...] = PARTS
    timed_pictures: int = 20

    def __post_init__(self) -> None:
        for part in self.parts:
            if part not in PARTS:
                raise ConfigError(f"unknown part '{part}' of the study; {near_matches(part, PARTS)}")
        if not self.budgets or min((*self.budgets, *self.square_budgets), default=0) < 20:
            raise ConfigError(
                f"budgets must be at least 20 visual tokens each: a method inside the decoder spends 18 of 144 "
                f"before its first cut; got {self.budgets} and {self.square_budgets}"
            )
