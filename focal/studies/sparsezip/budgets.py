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
from focal_traces.header.schema import DecoderGeometry

_PATTERN = kept_counts("1.5", 64)
"""Counts whose proportions a schedule follows. Source: published code of SparseVLM 1.5."""


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


def flops(geometry: DecoderGeometry, tokens: Sequence[float]) -> float:
    """Return the operations of a prefill by the formula that papers on token pruning print (estimated).

    Model: 4 n d^2 + 2 n^2 d + 3 n d m per layer (FastV, ECCV 2024, arXiv:2403.06764, sec. 4; three matrices of a
    gated MLP). It counts multiply-accumulates and takes keys and values for as wide as the model.

    Args:
        geometry: Of the decoder: width d, width m of the MLP.
        tokens: n of each layer, text included.
    """
    d, m = geometry.hidden_elements, geometry.intermediate_elements
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
    if budget > visual:
        raise ConfigError(f"budget: {budget} visual tokens of {visual}; expected at most {visual}")
    pruning_layers = [layer * layers // PUBLISHED_LAYERS for layer in PRUNING_LAYERS]
    tried = []
    for step in range(1, 20 * visual):
        shared = [max(1, round(count * step / (20 * _PATTERN[-1]))) for count in _PATTERN]
        # The last count alone moves the mean in steps finer than the proportions do.
        for last in (shared[-1] - 1, shared[-1], shared[-1] + 1):
            kept = [*(min(visual, count) for count in shared[:-1]), last]
            kept_at = dict(zip(pruning_layers, kept, strict=True))
            if last >= 1:
                tried.append(InsideSchedule(kept_at, visual_counts(kept_at, visual, layers, recycles)))
        if shared[-1] > visual:
            break
    best = min(tried, key=lambda schedule: abs(schedule.mean - budget))
    if abs(best.mean - budget) > max(1.0, 0.02 * budget):
        raise ConfigError(
            f"budget: no schedule of {layers} layers averages {budget} visual tokens; the nearest gives {best.mean:.1f}"
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
    return InsideSchedule({after: budget}, visual_counts({after: budget}, visual, layers, recycles=False))


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
        ConfigError: They are not equal; see `are_equal`.
    """
    if not allow_unequal and not are_equal(first, second):
        raise ConfigError(
            f"{names[0]} uses {first:.1f} visual tokens per layer and {names[1]} {second:.1f}; expected equal budgets, "
            "or --allow-unequal to compare them all the same"
        )
