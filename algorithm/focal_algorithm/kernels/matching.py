"""The most similar earlier vector of every vector, one candidate and one cache-sized block at a time."""

from __future__ import annotations

import math
from functools import cache
from importlib.util import find_spec
from typing import Literal

import torch
from torch import Tensor

from focal_algorithm.kernels.candidates import NO_WINNER, Candidate, Matches
from focal_algorithm.kernels.vectors import row_blocks

__all__ = [
    "Matches",
    "is_small",
    "match_vectors",
    "match_vectors_at_once",
    "match_vectors_plain",
    "matching_kernel",
    "matching_note",
]


def match_vectors(
    vectors: Tensor,
    norms: Tensor,
    partners: Tensor,
    candidates: tuple[Candidate, ...],
    *,
    threshold: float,
    is_norm_rounded: bool,
) -> Matches:
    """Find the best candidate of every vector.

    Similarity is <x, y> / (|x| |y|) in fp32, 0 where the denominator is 0. A vector is similar if its best
    similarity is strictly above the threshold; among equals the smallest place q wins. A similarity that is
    not a number (infinite activations) never matches.

    On CUDA the fused kernel does it where triton is installed (`matching_kernel`), on other devices, and on a CPU for
    few vectors, `match_vectors_at_once`, on a CPU for many `match_vectors_plain`; the result is the same.

    Complexity:
        Time O(candidates x rows x width); extra memory O(rows x slices) and a few blocks of about 2 MiB.

    Args:
        vectors: (rows, slices, vector elements) contiguous.
        norms: (rows, slices) fp32.
        partners: (candidates, rows) int64, -1 where absent.
        candidates: Same order as ``partners``; ascending q.
        threshold: Compared in fp32.
        is_norm_rounded: Round |x| of the later vector to the dtype of ``vectors``, as published.
    """
    if matching_kernel(vectors.device) == "torch":
        is_on_cpu = vectors.device.type == "cpu" or not candidates
        chosen = (
            match_vectors_plain if is_on_cpu and not is_small(vectors, candidates) else match_vectors_at_once
        )
    else:
        from focal_algorithm.kernels.triton_matching import match_vectors_fused

        chosen = match_vectors_fused
    return chosen(vectors, norms, partners, candidates, threshold=threshold, is_norm_rounded=is_norm_rounded)


def match_vectors_plain(
    vectors: Tensor,
    norms: Tensor,
    partners: Tensor,
    candidates: tuple[Candidate, ...],
    *,
    threshold: float,
    is_norm_rounded: bool,
) -> Matches:
    """Find the best candidate of every vector one candidate at a time; see `match_vectors`."""
    rows, slices, elements = vectors.shape
    device = vectors.device
    best = torch.zeros(rows, slices, dtype=torch.float32, device=device)
    winner = torch.zeros(rows, slices, dtype=torch.uint8, device=device)
    pointer = torch.empty(rows, slices, dtype=torch.int32, device=device)
    limit = torch.tensor(threshold, dtype=torch.float32, device=device)
    place_of = torch.zeros(NO_WINNER + 1, dtype=torch.int64, device=device)
    for place, candidate in enumerate(candidates):
        place_of[candidate.index] = place
    product: Tensor | None = None
    for start, stop in row_blocks(rows, slices * elements, device):
        keys = vectors[start:stop].to(torch.float32)
        key_norms = norms[start:stop]
        if is_norm_rounded:
            key_norms = key_norms.to(vectors.dtype).to(torch.float32)
        if product is None:
            product = torch.empty_like(keys)
        for candidate, partner in zip(candidates, partners[:, start:stop], strict=True):
            here = (partner >= 0).nonzero().squeeze(1)
            if len(here):
                there = partner[here]
                similarity = _cosines(keys, key_norms, vectors, norms, here, there, product)
                _keep_better(best[start:stop], winner[start:stop], similarity, here, candidate.index)
        is_similar = best[start:stop] > limit
        winner[start:stop].masked_fill_(~is_similar, NO_WINNER)
        own = torch.arange(start, stop, device=device)[:, None]
        if candidates:
            places = place_of[winner[start:stop].to(torch.int64)]
            own = torch.where(is_similar, partners[:, start:stop].gather(0, places.T).T, own)
        pointer[start:stop] = own
    return Matches(winner, pointer, best)


def _span(index: Tensor) -> slice | None:
    """Return an increasing index tensor as a slice if it has no gaps; a slice is a view, not a copy."""
    first, last = int(index[0]), int(index[-1])
    return slice(first, last + 1) if last - first + 1 == len(index) else None


def _pick(source: Tensor, index: Tensor, span: slice | None) -> Tensor:
    return source.index_select(0, index) if span is None else source[span]


def _cosines(
    keys: Tensor,
    key_norms: Tensor,
    vectors: Tensor,
    norms: Tensor,
    here: Tensor,
    there: Tensor,
    product: Tensor,
) -> Tensor:
    """Return similarities (pairs, slices) of rows ``here`` of the block with rows ``there`` of all."""
    here_span, there_span = _span(here), _span(there)
    partner = _pick(vectors, there, there_span).to(torch.float32)
    products = product[: len(here)]
    torch.mul(_pick(keys, here, here_span), partner, out=products)
    similarity = products.sum(-1)
    scale = _pick(key_norms, here, here_span) * _pick(norms, there, there_span)
    # x / inf = 0: a vanished denominator gives similarity 0 without a second pass over the quotients.
    return similarity.div_(scale.masked_fill_(scale.eq(0), math.inf))


def _keep_better(best: Tensor, winner: Tensor, similarity: Tensor, here: Tensor, index: int) -> None:
    """Overwrite the running best of rows ``here`` where the new similarity is strictly larger."""
    span = _span(here)
    if span is not None:
        is_better = similarity > best[span]
        winner[span].masked_fill_(is_better, index)
        best[span] = torch.where(is_better, similarity, best[span])
        return
    current, current_winner = best[here], winner[here]
    is_better = similarity > current
    winner[here] = current_winner.masked_fill_(is_better, index)
    best[here] = torch.where(is_better, similarity, current)


def matching_kernel(device: torch.device) -> Literal["triton", "torch"]:
    """Return which kernel matches vectors on a device: the fused one on CUDA where triton is installed."""
    return "triton" if device.type == "cuda" and _has_triton() else "torch"


def matching_note(device: torch.device) -> str:
    """Return a sentence on the kernel in use; empty on a CPU, where nothing that is installed decides it."""
    if device.type != "cuda":
        return ""
    if matching_kernel(device) == "triton":
        return "similarity matching: fused Triton kernel"
    return (
        "similarity matching: torch, because triton is not installed; pip install triton for the fused kernel"
    )


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None


_MOST_ELEMENTS = 1 << 20
"""Products held at a time. Measured on one CPU thread against a candidate at a time: 2 to 5 times as fast below
2^18, 1.5 times at 2^20, 0.8 times at 3 x 2^20."""


def is_small(vectors: Tensor, candidates: tuple[Candidate, ...]) -> bool:
    """Return whether taking all candidates at once is faster, and possible."""
    return 0 < len(candidates) * vectors.numel() <= _MOST_ELEMENTS and vectors.device.type == "cpu"


def match_vectors_at_once(
    vectors: Tensor,
    norms: Tensor,
    partners: Tensor,
    candidates: tuple[Candidate, ...],
    *,
    threshold: float,
    is_norm_rounded: bool,
) -> Matches:
    """Find the best candidate of every vector, all candidates at once; see `match_vectors`. At least one candidate.

    Absent partners are compared, too, and not counted: nothing here makes the CPU wait for a device.
    """
    rows, slices, elements = vectors.shape
    key_norms = norms.to(vectors.dtype).to(torch.float32) if is_norm_rounded else norms
    limit = torch.tensor(threshold, dtype=torch.float32)  # a number without axes, for any device
    index = _codes(tuple(one.index for one in candidates), vectors.device)
    own = torch.arange(rows, device=vectors.device)[:, None]
    parts = []
    for start, stop in row_blocks(rows, len(candidates) * slices * elements, vectors.device):
        present = partners[:, start:stop]
        there = present.clamp_min(0).flatten()
        products = (
            vectors.index_select(0, there).to(torch.float32).view(len(candidates), -1, slices, elements)
        )
        similarity = products.mul_(vectors[start:stop].to(torch.float32)).sum(-1)
        scale = norms.index_select(0, there).view_as(similarity).mul_(key_norms[start:stop])
        # x / inf = 0: a vanished denominator gives similarity 0 without a second pass over the quotients.
        similarity.div_(scale.masked_fill_(scale.eq(0), math.inf))
        similarity.masked_fill_((present < 0)[..., None], 0).masked_fill_(similarity.isnan(), 0)
        best, place = similarity.max(0)  # the first of equals, by contract of torch
        best.clamp_min_(0)
        is_similar = best > limit
        winner = index[place].masked_fill_(~is_similar, NO_WINNER)
        pointer = torch.where(is_similar, present.T.gather(1, place), own[start:stop]).to(torch.int32)
        parts.append((winner, pointer, best))
    return Matches(*(one[0] if len(one) == 1 else torch.cat(one) for one in zip(*parts, strict=True)))


@cache
def _codes(indices: tuple[int, ...], device: torch.device) -> Tensor:
    """Return the codes of candidates on a device, which each call would wait for to copy there."""
    return torch.tensor(indices, dtype=torch.uint8, device=device)
