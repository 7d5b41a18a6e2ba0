"""From pointers to groups, and from groups to their mean (Focus, HPCA 2026, sec. VI)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

# Vectors grouped at a time: bounds the index temporaries to about 40 MiB whatever the width.
_VECTORS_PER_BLOCK = 1 << 20
# Members averaged at a time: 16 Ki vectors of 32 fp32 elements are 2 MiB.
_MEMBERS_PER_BLOCK = 1 << 14


def resolve_pointers(pointer: Tensor, rounds: int | None, most_links: int | None = None) -> Tensor:
    """Follow pointers by path doubling until nothing changes, at most ``rounds`` times.

    After r rounds chains of up to 2^r links are collapsed. The published artifact allows as many rounds as
    there are frames, so one image gets one doubling and long chains keep inner roots.

    Args:
        pointer: (vectors,) int32 or int64; each entry an index into the tensor, not above its own.
        rounds: None for no limit.
        most_links: No chain is longer. On a device other than the CPU as many rounds are done as that takes, without
            waiting to see whether fewer would do.
    """
    done = 0
    if most_links is not None and pointer.device.type != "cpu":
        needed = most_links.bit_length()
        for _ in range(needed if rounds is None else min(rounds, needed)):
            pointer = pointer.index_select(0, pointer)
        return pointer
    while rounds is None or done < rounds:
        following = pointer.index_select(0, pointer)
        if torch.equal(following, pointer):
            break
        pointer = following
        done += 1
    return pointer


def average_groups(vectors: Tensor, pointer: Tensor, rounds: int | None) -> Tensor:
    """Replace every vector in place by the mean of its group and return the row of each group root.

    The mean is an fp32 sum in order of rows divided by the count, rounded once to the dtype of ``vectors``;
    it is the same in every run and for every number of threads.

    Args:
        vectors: (rows, slices, vector elements) contiguous; overwritten.
        pointer: (rows, slices) int32, row of the winner or the row itself.
        rounds: Limit of doubling rounds, None for none.

    Returns:
        (rows, slices) int32.
    """
    rows, slices, elements = vectors.shape
    flat_vectors = vectors.view(rows * slices, elements)
    roots = torch.empty_like(pointer)
    width = max(1, min(slices, _VECTORS_PER_BLOCK // max(1, rows)))
    for first in range(0, slices, width):
        last = min(first + width, slices)
        span = last - first
        slot = torch.arange(span, dtype=torch.int32, device=pointer.device)
        flat = (pointer[:, first:last] * span + slot).view(-1)
        flat = resolve_pointers(flat, rounds, rows)
        roots[:, first:last] = (flat // span).view(rows, span)
        if flat.device.type != "cpu":
            own = torch.arange(len(flat), device=flat.device)
            _replace_all(flat_vectors, own // span * slices + (first + own % span), flat)
            continue
        for members, sizes in _groups(flat):
            where = members // span * slices + (first + members % span)
            _replace_by_mean(flat_vectors, where, sizes)
    return roots


def _groups(flat: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of groups of more than one vector: their members in order, and the group sizes."""
    own = torch.arange(len(flat), dtype=flat.dtype, device=flat.device)
    is_shared = torch.zeros(len(flat), dtype=torch.bool, device=flat.device)
    is_shared[flat[flat != own].to(torch.int64)] = True
    members = is_shared.index_select(0, flat).nonzero().squeeze(1)
    if not len(members):
        return
    root, order = flat.index_select(0, members).sort(stable=True)
    members = members.index_select(0, order)
    sizes = torch.unique_consecutive(root, return_counts=True)[1]
    ends = sizes.cumsum(0)
    del root, order, own, is_shared
    first_group = first_member = 0
    while first_group < len(sizes):
        goal = torch.tensor([first_member + _MEMBERS_PER_BLOCK], device=flat.device)
        # At least one group a batch, also where a single group is larger than the batch.
        last_group = max(int(torch.searchsorted(ends, goal, right=True)), first_group + 1)
        last_member = int(ends[last_group - 1])
        yield members[first_member:last_member], sizes[first_group:last_group]
        first_group, first_member = last_group, last_member


def _replace_all(flat_vectors: Tensor, where: Tensor, root: Tensor) -> None:
    """Do for all vectors at once, alone or not, what `_groups` and `_replace_by_mean` do for groups alone.

    More work, and nothing whose shape depends on how many are alike, for which the CPU would have to wait.

    Args:
        flat_vectors: (all vectors, vector elements); overwritten.
        where: (vectors,) int64, rows of those to group.
        root: (vectors,) int32, place of the root of each among them.
    """
    ordered, order = root.sort(stable=True)
    own = torch.arange(len(root) + 1, dtype=root.dtype, device=root.device)
    starts = torch.searchsorted(ordered, own)
    sizes = starts.diff()
    gathered = flat_vectors.index_select(0, where.index_select(0, order)).to(torch.float32)
    sums = functional.embedding_bag(
        torch.arange(len(root), device=root.device), gathered, starts[:-1], mode="sum"
    )
    means = (sums / sizes.clamp_min(1)[:, None]).to(flat_vectors.dtype)
    is_alone = sizes.index_select(0, root).eq(1)[:, None]  # whose zeros keep their signs
    flat_vectors[where] = torch.where(
        is_alone, flat_vectors.index_select(0, where), means.index_select(0, root)
    )


def _replace_by_mean(flat_vectors: Tensor, where: Tensor, sizes: Tensor) -> None:
    starts = sizes.cumsum(0) - sizes
    if flat_vectors.dtype == torch.float32:
        sums = functional.embedding_bag(where, flat_vectors, starts, mode="sum")
    else:
        gathered = flat_vectors.index_select(0, where).to(torch.float32)
        local = torch.arange(len(where), device=where.device)
        sums = functional.embedding_bag(local, gathered, starts, mode="sum")
    means = (sums / sizes[:, None]).to(flat_vectors.dtype)
    flat_vectors[where] = means.repeat_interleave(sizes, 0)
