"""Every correction there is: the common ones, and those that accelerators register."""

from __future__ import annotations

from itertools import chain

from focal_common.errors import ConfigError, near_matches
from focal_common.registry import Registry
from focal_simulator.jobs.corrections import COMMON_CORRECTIONS, Correction

_REGISTERED: Registry[tuple[Correction, ...]] = Registry(
    "accelerator with corrections",
    {
        "adaptiv": "focal_simulator.accelerators.adaptiv:CORRECTIONS",
        "cmc": "focal_simulator.accelerators.cmc:CORRECTIONS",
        "dense": "focal_simulator.accelerators.dense:CORRECTIONS",
        "focus_sec_only": "focal_simulator.accelerators.focus_sec_only:CORRECTIONS",
    },
    group="focal.corrections",
)
"""Other distributions add theirs under the entry-point group ``focal.corrections``."""

CORRECTIONS: tuple[Correction, ...] = tuple(
    sorted(
        chain(COMMON_CORRECTIONS, *(_REGISTERED.load(name) for name in _REGISTERED)),
        key=lambda correction: correction.order,
    )
)
"""In the order in which the generated table applies them."""

KNOWN = frozenset(correction.name for correction in CORRECTIONS)

ALL = frozenset(correction.name for correction in CORRECTIONS if not correction.is_assumption)
"""What mends the published simulator; those that change an assumption of the paper are on where they are named."""


def parse_corrections(text: str) -> frozenset[str]:
    """Return the switches that a word list turns on.

    Args:
        text: ``all`` (but those that change an assumption), ``none``, names separated by commas, or ``all`` followed
            by more names, or by names with a leading ``-`` (a list that begins with one starts from ``all``).

    Raises:
        ConfigError: Nothing, or an unknown name; near matches are listed.
    """
    words = [part.strip() for part in text.split(",") if part.strip()]
    if not words:
        raise ConfigError("corrections is empty, expected all, none, or names separated by commas")
    # What is taken away is taken away from all.
    chosen: set[str] = set(ALL) if words[0].startswith("-") else set()
    for word in words:
        name = word.removeprefix("-")
        if name in ("all", "none"):
            chosen = set(ALL) if word == "all" else set()
        elif name not in KNOWN:
            raise ConfigError(f"corrections '{name}': {near_matches(name, [*KNOWN, 'all', 'none'])}")
        elif word.startswith("-"):
            chosen.discard(name)
        else:
            chosen.add(name)
    return frozenset(chosen)
