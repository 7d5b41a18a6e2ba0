"""Matching of vectors in one fused CUDA kernel; `focal_algorithm.kernels.matching` is its reference and fallback.

Import it only where triton is installed: `matching_kernel` says where. With ``TRITON_INTERPRET=1`` it runs on a CPU.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from focal_algorithm.kernels.candidates import NO_WINNER, Candidate, Matches

_ELEMENTS_PER_PROGRAM = 2048
# One key and one partner of this size fill the registers of four warps: 2 x 2048 fp32 over 128 threads.


def match_vectors_fused(
    vectors: Tensor,
    norms: Tensor,
    partners: Tensor,
    candidates: tuple[Candidate, ...],
    *,
    threshold: float,
    is_norm_rounded: bool,
) -> Matches:
    """Find the best candidate of every vector; arguments, result and rules are those of `match_vectors`.

    Complexity:
        Each vector is read once and once per candidate that is present; no fp32 copy of ``vectors`` is made.

    Deviations:
        Sums of products run in another order than in torch, so a similarity within rounding of the threshold, or
        two candidates within rounding of each other, may fall the other way.
    """
    rows, slices, elements = vectors.shape
    device = vectors.device
    best = torch.zeros(rows, slices, dtype=torch.float32, device=device)
    winner = torch.full((rows, slices), NO_WINNER, dtype=torch.uint8, device=device)
    pointer = torch.arange(rows, dtype=torch.int32, device=device)[:, None].repeat(1, slices)
    if not candidates or not rows:
        return Matches(winner, pointer, best)
    key_norms = norms.to(vectors.dtype).to(torch.float32) if is_norm_rounded else norms
    width = triton.next_power_of_2(elements)
    block = max(1, min(triton.next_power_of_2(slices), _ELEMENTS_PER_PROGRAM // width))
    codes = torch.tensor([candidate.index for candidate in candidates], dtype=torch.int32, device=device)
    # Compared in fp32, as the reference does; a Python float would be rounded by each launch anyway.
    limit = torch.tensor([threshold], dtype=torch.float32, device=device)
    _match[(rows, triton.cdiv(slices, block))](
        vectors.contiguous(),
        key_norms.contiguous(),
        norms.contiguous(),
        partners.contiguous(),
        codes,
        limit,
        best,
        winner,
        pointer,
        rows,
        slices,
        ELEMENTS=elements,
        CANDIDATES=len(candidates),
        NONE=NO_WINNER,
        BLOCK=block,
        WIDTH=width,
    )
    return Matches(winner, pointer, best)


@triton.jit
def _match(  # type: ignore[no-untyped-def]
    vectors,
    key_norms,
    norms,
    partners,
    codes,
    limit,
    best_out,
    winner_out,
    pointer_out,
    rows,
    slices,
    ELEMENTS: tl.constexpr,
    CANDIDATES: tl.constexpr,
    NONE: tl.constexpr,
    BLOCK: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """Match some slices of one row with the same slices of its candidates' rows."""
    row = tl.program_id(0).to(tl.int64)
    slice_at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    element = tl.arange(0, WIDTH)
    in_row = slice_at < slices
    is_there = in_row[:, None] & (element < ELEMENTS)[None, :]
    offset = slice_at[:, None] * ELEMENTS + element[None, :]
    key = tl.load(vectors + row * slices * ELEMENTS + offset, mask=is_there, other=0.0).to(tl.float32)
    key_norm = tl.load(key_norms + row * slices + slice_at, mask=in_row, other=0.0)
    best = tl.zeros([BLOCK], dtype=tl.float32)
    code = tl.full([BLOCK], NONE, dtype=tl.int32)
    stands = tl.zeros([BLOCK], dtype=tl.int32) + row.to(tl.int32)
    for place in range(CANDIDATES):
        partner = tl.load(partners + place * rows + row)
        is_seen = (partner >= 0) & in_row
        start = tl.maximum(partner, 0) * slices
        other = tl.load(vectors + start * ELEMENTS + offset, mask=is_seen[:, None] & is_there, other=0.0).to(
            tl.float32
        )
        scale = key_norm * tl.load(norms + start + slice_at, mask=is_seen, other=0.0)
        similarity = tl.sum(key * other, axis=1) / tl.where(scale == 0.0, float("inf"), scale)
        is_better = (similarity > best) & is_seen
        best = tl.where(is_better, similarity, best)
        code = tl.where(is_better, tl.load(codes + place), code)
        stands = tl.where(is_better, partner.to(tl.int32), stands)
    is_similar = best > tl.load(limit)
    out = row * slices + slice_at
    tl.store(best_out + out, best, mask=in_row)
    tl.store(winner_out + out, tl.where(is_similar, code, NONE).to(tl.uint8), mask=in_row)
    tl.store(pointer_out + out, tl.where(is_similar, stands, row.to(tl.int32)), mask=in_row)
