"""Numba: pending addresses, transaction queues and bank queues of one channel.

A *slot* stands for one pending address: a group of merged reads, or the merged writes. It lives from
acceptance until its column command is issued. The key is the exact byte address, not the burst.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from focal_simulator.dram.constraints import (
    activate_ready_cycle,
    precharge_ready_cycle,
    read_ready_cycle,
    write_ready_cycle,
)
from focal_simulator.dram.layout import CLOSED, NEVER, NUM_BUCKETS, Records
from focal_simulator.kernels.jit import inlined_kernel


@inlined_kernel
def _bucket(address: int, is_write: int) -> int:
    return is_write * NUM_BUCKETS + (((address >> 4) ^ (address >> 13) ^ (address >> 22)) & (NUM_BUCKETS - 1))


@inlined_kernel
def find_pending(address: int, is_write: int, state: Records) -> int:
    """Return the slot pending at exactly ``address``, or -1."""
    slot: int = state.buckets[_bucket(address, is_write)]
    while slot >= 0 and state.slots[slot].address != address:
        slot = state.slots[slot].next_in_bucket
    return slot


@inlined_kernel
def _new_slot(channel: int, address: int, is_write: int, state: Records, p: Records) -> int:
    owner = state.channels[channel]
    owner.num_free_slots -= 1
    slot: int = state.free_slots[channel * p.slots_per_channel + owner.num_free_slots]
    this = state.slots[slot]
    rank = channel * p.ranks + ((address >> p.rank_shift) & p.rank_mask)
    group = (address >> p.bankgroup_shift) & p.bankgroup_mask
    this.address = address
    this.row = (address >> p.row_shift) & p.row_mask
    this.column = (address >> p.column_shift) & p.column_mask
    this.bank = (
        rank * p.banks_per_rank + group * p.banks_per_group + ((address >> p.bank_shift) & p.bank_mask)
    )
    this.is_write = is_write
    bucket = _bucket(address, is_write)
    this.next_in_bucket = state.buckets[bucket]
    state.buckets[bucket] = slot
    return slot


@inlined_kernel
def release_slot(channel: int, slot: int, state: Records, p: Records) -> None:
    """Forget a pending address whose column command has been issued."""
    bucket = _bucket(state.slots[slot].address, state.slots[slot].is_write)
    following = state.slots[slot].next_in_bucket
    if state.buckets[bucket] == slot:
        state.buckets[bucket] = following
    else:
        before = state.buckets[bucket]
        while state.slots[before].next_in_bucket != slot:
            before = state.slots[before].next_in_bucket
        state.slots[before].next_in_bucket = following
    owner = state.channels[channel]
    state.free_slots[channel * p.slots_per_channel + owner.num_free_slots] = slot
    owner.num_free_slots += 1


@inlined_kernel
def admit_request(
    request: int,
    address: int,
    is_write: bool,
    channel: int,
    now: int,
    done: NDArray[np.int64],
    next_merged: NDArray[np.int64],
    state: Records,
    p: Records,
) -> bool:
    """Take one request into its channel, or refuse it when that channel's queue is full.

    Space is checked before merging. A write completes two cycles later (posted), whether it merges or not;
    so does a read of a pending write. Reads of one pending address join its group and finish with it.
    """
    owner = state.channels[channel]
    if is_write:
        if owner.num_waiting_writes >= p.transaction_depth:
            return False
        if find_pending(address, 1, state) < 0:
            slot = _new_slot(channel, address, 1, state, p)
            state.waiting_writes[channel, owner.num_waiting_writes] = slot
            owner.num_waiting_writes += 1
        done[request] = now + 2
    else:
        if owner.num_waiting_reads >= p.transaction_depth:
            return False
        if find_pending(address, 1, state) >= 0:
            done[request] = now + 2
        else:
            slot = find_pending(address, 0, state)
            next_merged[request] = -1
            if slot >= 0:
                next_merged[state.slots[slot].last_request] = request
            else:
                slot = _new_slot(channel, address, 0, state, p)
                state.slots[slot].first_request = request
                state.waiting_reads[channel, owner.num_waiting_reads] = slot
                owner.num_waiting_reads += 1
            state.slots[slot].last_request = request
            state.progress[0].num_reads_open += 1
    if done[request] > state.progress[0].last_done:
        state.progress[0].last_done = done[request]
    owner.is_move_due = 1
    return True


@inlined_kernel
def queue_ready_cycle(bank: int, state: Records, p: Records) -> int:
    """Return a lower bound of the cycle at which ``bank`` can use the command slot; its queue is not empty.

    Exact but for a write held back by an older read of its burst.
    """
    this = state.banks[bank]
    if this.open_row == CLOSED:
        opening: int = activate_ready_cycle(bank, state, p)
        return opening
    ready = NEVER
    if this.num_read_hits > 0:
        ready = read_ready_cycle(bank, state)
    if this.num_write_hits > 0:
        ready = min(ready, write_ready_cycle(bank, state))
    if state.slots[state.queues[bank, 0]].row != this.open_row and (
        this.num_read_hits + this.num_write_hits == 0 or this.num_served >= p.row_hit_cap
    ):
        ready = min(ready, precharge_ready_cycle(bank, state))
    earliest: int = ready
    return earliest


@inlined_kernel
def count_row_hits(bank: int, state: Records) -> None:
    """Recount the queued entries that hit the row just opened."""
    this = state.banks[bank]
    this.num_read_hits = 0
    this.num_write_hits = 0
    for position in range(this.num_queued):
        slot = state.slots[state.queues[bank, position]]
        if slot.row == this.open_row:
            this.num_write_hits += slot.is_write
            this.num_read_hits += 1 - slot.is_write


@inlined_kernel
def remove_from_queue(bank: int, position: int, channel: int, state: Records, p: Records) -> None:
    """Take the entry at ``position`` out of the bank queue; the younger ones close up."""
    this = state.banks[bank]
    slot = state.slots[state.queues[bank, position]]
    this.num_write_hits -= slot.is_write
    this.num_read_hits -= 1 - slot.is_write
    this.num_queued -= 1
    for place in range(position, this.num_queued):
        state.queues[bank, place] = state.queues[bank, place + 1]
    owner = state.channels[channel]
    if this.num_queued == p.queue_depth - 1:
        # the queue was full, so waiting transactions may have been held up by it
        owner.num_blocked_reads = 0
        owner.num_blocked_writes = 0
    owner.num_in_queues -= 1
    owner.is_move_due = 1


@inlined_kernel
def _first_admissible(waiting: NDArray[np.int64], first: int, count: int, state: Records, p: Records) -> int:
    for position in range(first, count):
        if state.banks[state.slots[waiting[position]].bank].num_queued < p.queue_depth:
            return position
    return -1


@inlined_kernel
def _push_to_queue(slot: int, channel: int, now: int, state: Records, p: Records) -> None:
    entry = state.slots[slot]
    bank = entry.bank
    this = state.banks[bank]
    owner = state.channels[channel]
    state.queues[bank, this.num_queued] = slot
    this.num_queued += 1
    if this.open_row == entry.row:
        this.num_write_hits += entry.is_write
        this.num_read_hits += 1 - entry.is_write
    owner.num_in_queues += 1
    owner.next_command = min(owner.next_command, max(now + 1, queue_ready_cycle(bank, state, p)))


@inlined_kernel
def _move_read(channel: int, now: int, state: Records, p: Records) -> None:
    owner = state.channels[channel]
    position = _first_admissible(
        state.waiting_reads[channel], owner.num_blocked_reads, owner.num_waiting_reads, state, p
    )
    owner.num_blocked_reads = owner.num_waiting_reads if position < 0 else position
    if position >= 0:
        slot = state.waiting_reads[channel, position]
        owner.num_waiting_reads -= 1
        for place in range(position, owner.num_waiting_reads):
            state.waiting_reads[channel, place] = state.waiting_reads[channel, place + 1]
        _push_to_queue(slot, channel, now, state, p)
        owner.is_move_due = 1


@inlined_kernel
def move_transaction(channel: int, now: int, state: Records, p: Records) -> None:
    """Move at most one waiting transaction to its bank queue.

    Writes go in drains, whose length is fixed when the drain starts. The first write with room whose address
    has an outstanding read ends the drain; the published simulator then loses the cycle, by default a read is
    served.
    """
    owner = state.channels[channel]
    owner.is_move_due = 0
    if owner.drain_left == 0 and (
        owner.num_waiting_writes >= p.transaction_depth
        or (owner.num_waiting_writes > p.drain_threshold and owner.num_in_queues == 0)
    ):
        owner.drain_left = owner.num_waiting_writes
    if owner.drain_left == 0:
        _move_read(channel, now, state, p)
        return
    position = _first_admissible(
        state.waiting_writes[channel], owner.num_blocked_writes, owner.num_waiting_writes, state, p
    )
    owner.num_blocked_writes = owner.num_waiting_writes if position < 0 else position
    if position < 0:
        return
    owner.is_move_due = 1
    slot = state.waiting_writes[channel, position]
    if find_pending(state.slots[slot].address, 0, state) >= 0:
        owner.drain_left = 0
        if p.serves_read_on_conflict:
            _move_read(channel, now, state, p)
        return
    owner.drain_left -= 1
    owner.num_waiting_writes -= 1
    for place in range(position, owner.num_waiting_writes):
        state.waiting_writes[channel, place] = state.waiting_writes[channel, place + 1]
    _push_to_queue(slot, channel, now, state, p)
