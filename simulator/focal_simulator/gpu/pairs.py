"""Which trace can run on which accelerator, and what a token-level accelerator takes from a trace.

Methods that drop or merge whole tokens (VisionZip, SparseVLM, SparseZip, FrameFusion, Focus without similarity)
make every GEMM shorter, so their traces run anywhere through `token_counts_per_layer`. A trace that also replaces
single vectors needs hardware that skips vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import ConfigError, TraceError, UnsupportedError
from focal_simulator.accelerators import ACCELERATORS
from focal_simulator.accelerators.study import Reduction
from focal_traces.counts.trace import Trace
from focal_traces.header.schema import GEMMS

__all__ = ["Pair", "check_pair", "pair_of", "reduction_of", "token_counts_per_layer"]


@dataclass(frozen=True, slots=True)
class Pair:
    """A trace and an accelerator.

    Attributes:
        reduction: What the trace leaves out.
        exploits: What the accelerator can leave out.
        refusal: Why they cannot run together, as one sentence; None if they can.
    """

    reduction: Reduction
    exploits: Reduction
    refusal: str | None


def token_counts_per_layer(trace: Trace, sample: int | None = None) -> NDArray[np.int64]:
    """Return the visual tokens alive at each recorded GEMM input, axes (layers, GEMMS), for `operators`.

    Args:
        trace: Tier 1.
        sample: Index into its samples; the one a simulator should take if None.

    Raises:
        TraceError: No such sample, counts that do not cover the decoder, or more tokens than the prompt has.
    """
    place = trace.chosen_sample() if sample is None else sample
    if not 0 <= place < len(trace.samples):
        raise TraceError(f"sample {place} does not exist, expected 0 to {len(trace.samples) - 1}")
    totals = trace.totals(place)
    over = np.argwhere(totals.tokens > totals.visual_tokens)
    if len(over):
        layer, gemm = (int(one) for one in over[0])
        raise TraceError(
            f"sample {place}, layer {layer}, {GEMMS[gemm]}: {totals.tokens[layer, gemm]} tokens are alive, "
            f"expected at most the {totals.visual_tokens} visual tokens of the prompt"
        )
    return totals.tokens


def reduction_of(trace: Trace, sample: int | None = None) -> Reduction:
    """Return what a trace leaves out, from its counts and not from the name of its method."""
    tokens = token_counts_per_layer(trace, sample)
    totals = trace.totals(trace.chosen_sample() if sample is None else sample)
    if (totals.unique < tokens * totals.slices).any():
        return "vectors"
    return "tokens" if (tokens < totals.visual_tokens).any() else "none"


def pair_of(trace: Trace, accelerator: str, sample: int | None = None, as_tokens: bool = False) -> Pair:
    """Return whether a trace can run on an accelerator.

    Args:
        trace: Tier 1.
        accelerator: Registry name.
        sample: Index into the samples; the chosen one if None.
        as_tokens: Take the token counts only and compute every vector of a live token.

    Raises:
        ConfigError: The accelerator is unknown, or declares something that is no `Reduction`.
        TraceError: As `token_counts_per_layer`.
    """
    reduction = reduction_of(trace, sample)
    exploits = ACCELERATORS.load(accelerator).study.exploits
    order: tuple[Reduction, ...] = ("none", "tokens", "vectors")
    if exploits not in order:
        raise ConfigError(
            f"accelerator '{accelerator}': field study.exploits is {exploits!r}, expected one of {order}"
        )
    wanted: Reduction = "tokens" if as_tokens and reduction == "vectors" else reduction
    refusal = None
    if order.index(wanted) > order.index(exploits):
        missing = "skips single vectors" if wanted == "vectors" else "runs shorter sequences"
        refusal = (
            f"the trace of method '{trace.header.method}' leaves out {wanted}, but accelerator '{accelerator}' "
            f"has no unit that {missing}; choose an accelerator that does"
            + (", or count whole tokens only" if wanted == "vectors" else "")
        )
    return Pair(wanted, exploits, refusal)


def check_pair(trace: Trace, accelerator: str, sample: int | None = None, as_tokens: bool = False) -> Pair:
    """Return the pair; raises `UnsupportedError` with the reason if it cannot run, else as `pair_of`."""
    pair = pair_of(trace, accelerator, sample, as_tokens)
    if pair.refusal is not None:
        raise UnsupportedError(pair.refusal)
    return pair
