"""Is a dynamic K dynamic? Counts per picture, and a warning where they never move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from focal_common.errors import ConfigError

__all__ = ["Audit", "audited"]

_PINNED_SHARE = 0.95  # of the pictures at one bound, from which K is called pinned; assumed


@dataclass(frozen=True)
class Audit:
    """Tokens that one configuration keeps per picture.

    Attributes:
        pictures: How many.
        k_mean: Mean of K, as the next two.
        k_least: Smallest.
        k_largest: Largest.
        k_values: Different values of K.
        at_k_min: Share of the pictures whose K is the lower bound.
        at_k_max: Likewise the upper.
        contextual: C, merged tokens per picture, mean.
        prefix: CLS tokens per picture.
        total_mean: K + C + CLS, mean, as the next two.
        total_least: Smallest.
        total_largest: Largest.
        warning: Empty, or a sentence.
    """

    pictures: int
    k_mean: float
    k_least: int
    k_largest: int
    k_values: int
    at_k_min: float
    at_k_max: float
    contextual: float
    prefix: int
    total_mean: float
    total_least: int
    total_largest: int
    warning: str

    def row(self) -> dict[str, float | int | str]:
        """Return the fields by name."""
        return asdict(self)


def audited(
    kept: Sequence[int],
    merged: Sequence[int],
    *,
    k_min: int,
    k_max: int,
    is_dynamic: bool,
    prefix: int = 1,
) -> Audit:
    """Sum up the token counts of a configuration.

    Args:
        kept: K of each picture, CLS not counted.
        merged: C of each picture.
        k_min: Lower bound of K.
        k_max: Upper bound.
        is_dynamic: Whether K is meant to follow the picture.
        prefix: CLS tokens per picture.

    Raises:
        ConfigError: There are no pictures.
    """
    if not kept or len(kept) != len(merged):
        raise ConfigError(
            f"audit: {len(kept)} values of K and {len(merged)} of C; expected one each per picture"
        )
    count = len(kept)
    totals = [prefix + k + c for k, c in zip(kept, merged, strict=True)]
    low, high = (sum(k == bound for k in kept) / count for bound in (k_min, k_max))
    return Audit(
        pictures=count,
        k_mean=sum(kept) / count,
        k_least=min(kept),
        k_largest=max(kept),
        k_values=len(set(kept)),
        at_k_min=low,
        at_k_max=high,
        contextual=sum(merged) / count,
        prefix=prefix,
        total_mean=sum(totals) / count,
        total_least=min(totals),
        total_largest=max(totals),
        warning=_warning(kept, low, high, k_min, k_max) if is_dynamic else "",
    )


def _warning(kept: Sequence[int], low: float, high: float, k_min: int, k_max: int) -> str:
    if len(kept) < 2:
        return ""
    if len(set(kept)) == 1:
        place = " (k_min)" if low == 1 else " (k_max)" if high == 1 else ""
        return f"K is called dynamic and is {kept[0]}{place} for every one of {len(kept)} pictures"
    if max(low, high) >= _PINNED_SHARE:
        bound, share = (k_min, low) if low >= high else (k_max, high)
        return f"K is called dynamic and is pinned at {bound} for {share:.0%} of the pictures"
    if max(kept) - min(kept) <= 1:
        return f"K is called dynamic and moves between {min(kept)} and {max(kept)} only"
    return ""
