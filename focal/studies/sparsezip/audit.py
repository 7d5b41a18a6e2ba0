"""Is a dynamic K dynamic? Counts per picture, and a warning where they never move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from focal_common.errors import ConfigError

_PINNED_SHARE = 0.95  # of the pictures at one bound, from which K is called pinned; assumed


def audited(
    kept: Sequence[int], merged: Sequence[int], *, k_min: int, k_max: int, is_dynamic: bool, prefix: int = 1
) -> dict[str, Any]:
    """Sum up the tokens that a configuration keeps per picture, as a row of a table.

    Args:
        kept: K of each picture, CLS not counted.
        merged: C, merged tokens of each picture.
        k_min: Lower bound of K.
        k_max: Upper bound.
        is_dynamic: Whether K is meant to follow the picture.
        prefix: CLS tokens per picture.

    Returns:
        ``pictures``; mean, least, largest and number of values of K (``k_*``); the share of the pictures whose K is a
        bound (``at_k_*``); ``contextual``, the mean of C; ``prefix``; mean, least and largest K + C + CLS
        (``total_*``); and ``warning``, empty or a sentence.

    Raises:
        ConfigError: There are no pictures.
    """
    if not kept or len(kept) != len(merged):
        raise ConfigError(
            f"audit: {len(kept)} values of K and {len(merged)} of C; expected one each per picture"
        )
    counts = np.array(kept)
    totals = prefix + counts + np.array(merged)
    return {
        "pictures": len(kept),
        "k_mean": float(counts.mean()),
        "k_least": int(counts.min()),
        "k_largest": int(counts.max()),
        "k_values": len(set(kept)),
        "at_k_min": float((counts == k_min).mean()),
        "at_k_max": float((counts == k_max).mean()),
        "contextual": float(np.mean(merged)),
        "prefix": prefix,
        "total_mean": float(totals.mean()),
        "total_least": int(totals.min()),
        "total_largest": int(totals.max()),
        "warning": _warning(kept, k_min, k_max) if is_dynamic and len(kept) > 1 else "",
    }


def _warning(kept: Sequence[int], k_min: int, k_max: int) -> str:
    if len(set(kept)) == 1:
        name = {k_max: " (k_max)", k_min: " (k_min)"}.get(kept[0], "")
        return f"K is called dynamic and is {kept[0]}{name} for every one of {len(kept)} pictures"
    low, high = (kept.count(bound) / len(kept) for bound in (k_min, k_max))
    if max(low, high) >= _PINNED_SHARE:
        bound, share = (k_min, low) if low >= high else (k_max, high)
        return f"K is called dynamic and is pinned at {bound} for {share:.0%} of the pictures"
    if max(kept) - min(kept) <= 1:
        return f"K is called dynamic and moves between {min(kept)} and {max(kept)} only"
    return ""
