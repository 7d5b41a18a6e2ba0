"""Equal budgets for methods that cut at different places: tokens averaged over layers, and FLOPs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from focal_algorithm.kernels.sparsevlm import (
    PRUNING_LAYERS,
    PUBLISHED_LAYERS,
    cluster_count,
    kept_counts,
    recycled_count,
)
from focal_common.errors import ConfigError

__all__ = [
    "DecoderShape",
    "InsideSchedule",
    "are_equal",
    "flops",
    "inside_schedule",
    "one_cut_schedule",
    "require_equal_budgets",
    "visual_counts",
]

_PATTERN = kept_counts("1.5", 64)
"""Counts whose proportions a schedule follows. Source: published code of SparseVLM 1.5."""


@dataclass(frozen=True)
class DecoderShape:
    """What the cost of a prefill depends on.

    Attributes:
        layers: Decoder layers.
        hidden: Width d.
        intermediate: Width m of the MLP.
    """

    layers: int
    hidden: int
    intermediate: int


@dataclass(frozen=True)
class InsideSchedule:
    """Visual tokens that stay after some layers.

    Attributes:
        kept_at: Tokens kept after each pruning layer, as asked of the method.
        counts: Visual tokens that each layer works on, merged ones included.
    """

    kept_at: Mapping[int, int]
    counts: tuple[int, ...]

    @property
    def mean(self) -> float:
        """Visual tokens that a layer works on, averaged over layers.

        Stricter than the published log, which books a pruning layer as pruned already: the schedule published
        for 64 works on 82.25 of 576 tokens per layer (SparseVLM 1.5, 32 layers).
        """
        return sum(self.counts) / len(self.counts)


def flops(shape: DecoderShape, tokens: Sequence[float]) -> float:
    """Return the operations of a prefill by the formula that papers on token pruning print (estimated).

    Model: 4 n d^2 + 2 n^2 d + 3 n d m per layer (FastV, ECCV 2024, arXiv:2403.06764, sec. 4; three matrices of a
    gated MLP). It counts multiply-accumulates and takes keys and values for as wide as the model.

    Args:
        shape: Of the decoder.
        tokens: n of each layer, text included.
    """
    d, m = shape.hidden, shape.intermediate
    return sum(4 * n * d * d + 2 * n * n * d + 3 * n * d * m for n in tokens)


def visual_counts(kept_at: Mapping[int, int], visual: int, layers: int, recycles: bool) -> tuple[int, ...]:
    """Return the visual tokens that each layer works on.

    Args:
        kept_at: Tokens kept after each pruning layer.
        visual: Tokens that enter.
        layers: Decoder layers.
        recycles: Whether dropped tokens are merged into a few, as SparseVLM 1.5 does.
    """
    counts, present = [], visual
    for layer in range(layers):
        counts.append(present)
        if layer in kept_at:
            kept = min(kept_at[layer], present)
            dropped = present - kept
            present = kept + (cluster_count(recycled_count(dropped)) if recycles and dropped else 0)
    return tuple(counts)


def inside_schedule(budget: int, visual: int, layers: int, recycles: bool) -> InsideSchedule:
    """Return the schedule, in the published proportions, whose mean over layers is nearest to a budget.

    Args:
        budget: Visual tokens averaged over layers.
        visual: Tokens that enter.
        layers: Decoder layers.
        recycles: See `visual_counts`.

    Raises:
        ConfigError: The layers before the first cut alone exceed the budget, or it exceeds the tokens.
    """
    places = [layer * layers // PUBLISHED_LAYERS for layer in PRUNING_LAYERS]
    if budget > visual:
        raise ConfigError(f"budget: {budget} visual tokens of {visual}; expected at most {visual}")
    best: InsideSchedule | None = None
    for step in range(1, 20 * visual):
        factor = step / (20 * _PATTERN[-1])
        shared = [max(1, round(count * factor)) for count in _PATTERN]
        for last in (shared[-1] - 1, shared[-1], shared[-1] + 1):
            if last < 1:
                continue
            kept_at = dict(zip(places, [*(min(visual, one) for one in shared[:-1]), last], strict=True))
            found = InsideSchedule(kept_at, visual_counts(kept_at, visual, layers, recycles))
            if best is None or abs(found.mean - budget) < abs(best.mean - budget):
                best = found
        if shared[-1] > visual:
            break
    if best is None or abs(best.mean - budget) > max(1.0, 0.02 * budget):
        least = best.mean if best is not None else float(visual)
        raise ConfigError(
            f"budget: no schedule of {layers} layers averages {budget} visual tokens; the nearest gives {least:.1f}"
        )
    return best


def one_cut_schedule(budget: int, visual: int, layers: int, after: int) -> InsideSchedule:
    """Return the schedule that cuts once and works on a budget of tokens from there on, whatever its mean.

    Args:
        budget: Visual tokens of every layer after the cut.
        visual: Tokens that enter.
        layers: Decoder layers.
        after: Layer, counted from 0, whose output is cut.

    Raises:
        ConfigError: There is no layer after the cut, or the budget exceeds the tokens.
    """
    if not 0 <= after < layers - 1 or not 1 <= budget <= visual:
        raise ConfigError(
            f"one cut after layer {after} to {budget} tokens: expected a layer of 0 to {layers - 2} and 1 to "
            f"{visual} tokens"
        )
    kept_at = {after: budget}
    return InsideSchedule(kept_at, visual_counts(kept_at, visual, layers, recycles=False))


def are_equal(first: float, second: float) -> bool:
    """Return whether two budgets, in visual tokens averaged over layers, lie within 2 % or within one token."""
    return abs(first - second) <= max(1.0, 0.02 * max(first, second))


def require_equal_budgets(
    first: float, second: float, names: tuple[str, str], *, allow_unequal: bool = False
) -> None:
    """Refuse to compare methods that feed the decoder different numbers of visual tokens.

    Args:
        first: Visual tokens averaged over layers of one run.
        second: Of the other.
        names: Of the runs, for the message.
        allow_unequal: Compare all the same.

    Raises:
        ConfigError: They differ by more than 2 %, and by more than one token.
    """
    if allow_unequal or are_equal(first, second):
        return
    raise ConfigError(
        f"{names[0]} uses {first:.1f} visual tokens per layer and {names[1]} {second:.1f}; expected equal budgets, "
        "or --allow-unequal to compare them all the same"
    )
