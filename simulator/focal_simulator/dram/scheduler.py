"""Numba: one command per cycle and channel, first-ready first-come-first-served over per-bank queues."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from focal_simulator.dram.constraints import (
    apply_activate,
    apply_precharge,
    apply_read,
    apply_refresh,
    apply_write,
    precharge_ready_cycle,
    read_ready_cycle,
    write_ready_cycle,
)
from focal_simulator.dram.layout import CLOSED, NEVER, Records
from focal_simulator.dram.queues import count_row_hits, queue_ready_cycle, release_slot, remove_from_queue
from focal_simulator.kernels.jit import inlined_kernel, kernel

REFRESH_ISSUE = -2
"""`refresh_step` result: the rank itself may be refreshed now."""


@inlined_kernel
def due_rank(channel: int, state: Records, p: Records) -> int:
    """Return the global index of the rank that waits for refresh, or -1."""
    owner = state.channels[channel]
    if owner.num_refresh_due == 0:
        return -1
    rank: int = channel * p.ranks + owner.refresh_rank
    return rank


@inlined_kernel
def refresh_step(rank: int, now: int, state: Records, p: Records) -> int:
    """Return the bank to close now, `REFRESH_ISSUE`, or -1 when neither is legal this cycle."""
    first = rank * p.banks_per_rank
    ready = -NEVER
    is_closed = True
    for bank in range(first, first + p.banks_per_rank):
        this = state.banks[bank]
        if this.open_row != CLOSED:
            is_closed = False
            if precharge_ready_cycle(bank, state) <= now:
                return bank
        # tRC after the activate never outlasts tRP after the precharge, so activate_ready serves refresh too
        ready = max(ready, this.activate_ready)
    if is_closed and ready <= now:
        return REFRESH_ISSUE
    return -1


NOTHING, ACTIVATE, PRECHARGE, READ, WRITE, REFRESH = 0, 1, 2, 3, 4, 5


@kernel
def _is_behind_read(bank: int, position: int, state: Records) -> bool:
    slot = state.slots[state.queues[bank, position]]
    for place in range(position):
        older = state.slots[state.queues[bank, place]]
        if older.is_write == 0 and older.row == slot.row and older.column == slot.column:
            return True
    return False


@inlined_kernel
def _pick(bank: int, now: int, state: Records, p: Records) -> tuple[int, int]:
    """Return (command, queue position) of the oldest entry whose next command is legal now."""
    this = state.banks[bank]
    if this.open_row == CLOSED:
        return ACTIVATE, 0
    if (
        state.slots[state.queues[bank, 0]].row != this.open_row
        and (this.num_read_hits + this.num_write_hits == 0 or this.num_served >= p.row_hit_cap)
        and precharge_ready_cycle(bank, state) <= now
    ):
        return PRECHARGE, 0
    is_read_ready = this.num_read_hits > 0 and read_ready_cycle(bank, state) <= now
    is_write_ready = this.num_write_hits > 0 and write_ready_cycle(bank, state) <= now
    for position in range(this.num_queued):
        slot = state.slots[state.queues[bank, position]]
        if slot.row == this.open_row:
            if slot.is_write == 0:
                if is_read_ready:
                    return READ, position
            elif is_write_ready and not _is_behind_read(bank, position, state):
                return WRITE, position
    return NOTHING, 0


@inlined_kernel
def _scan(channel: int, now: int, state: Records, p: Records) -> tuple[int, int, int, int]:
    """Visit bank queues round-robin from the one after the last chosen.

    Returns (command, bank, position, earliest cycle at which there can be one if there is none now).
    """
    owner = state.channels[channel]
    frozen = due_rank(channel, state, p)
    first = channel * p.banks
    earliest = NEVER
    pointer = owner.pointer
    num_left = owner.num_in_queues
    while (
        num_left > 0
    ):  # banks with an empty queue cannot be chosen, so the rest of the circle may be skipped
        pointer += 1
        if pointer >= p.banks:
            pointer = 0
        bank = first + pointer
        num_queued = state.banks[bank].num_queued
        if num_queued == 0:
            continue
        num_left -= num_queued
        if state.banks[bank].rank == frozen:
            continue
        ready = queue_ready_cycle(bank, state, p)
        if ready <= now:
            command, position = _pick(bank, now, state, p)
            if command != NOTHING:
                owner.pointer = pointer
                return command, bank, position, now
            ready = now + 1
        earliest = min(earliest, ready)
    return NOTHING, 0, 0, earliest  # a fruitless circle ends where it began


@inlined_kernel
def _log(
    command: int, bank: int, row: int, column: int, channel: int, now: int, state: Records, p: Records
) -> None:
    progress = state.progress[0]
    if progress.num_logged < p.num_logged:
        line = state.log[progress.num_logged]
        line.cycle = now
        line.kind = command
        line.channel = channel
        line.rank = state.banks[bank].rank
        line.bank = bank
        line.row = row
        line.column = column
        progress.num_logged += 1


@inlined_kernel
def _finish_reads(
    slot: int, now: int, done: NDArray[np.int64], next_merged: NDArray[np.int64], state: Records, p: Records
) -> None:
    progress = state.progress[0]
    request = state.slots[slot].first_request
    while request >= 0:
        done[request] = now + p.read_done
        progress.num_reads_open -= 1
        request = next_merged[request]
    progress.last_done = max(progress.last_done, now + p.read_done)


@kernel
def _issue(
    command: int,
    bank: int,
    position: int,
    channel: int,
    now: int,
    done: NDArray[np.int64],
    next_merged: NDArray[np.int64],
    state: Records,
    p: Records,
) -> None:
    owner = state.channels[channel]
    this = state.banks[bank]
    if command == REFRESH:
        _log(command, bank, -1, -1, channel, now, state, p)
        apply_refresh(this.rank, now, state, p)
        owner.num_refreshes += 1
        owner.num_refresh_due -= 1
        owner.refresh_rank = (owner.refresh_rank + 1) % p.ranks
        return
    if command == PRECHARGE:
        _log(command, bank, this.open_row, -1, channel, now, state, p)
        apply_precharge(bank, now, state, p)
        this.num_read_hits = 0
        this.num_write_hits = 0
        owner.num_precharges += 1
        return
    slot = state.queues[bank, position]
    entry = state.slots[slot]
    _log(command, bank, entry.row, entry.column, channel, now, state, p)
    if command == ACTIVATE:
        apply_activate(bank, entry.row, now, state, p)
        count_row_hits(bank, state)
        owner.num_activates += 1
        return
    owner.num_row_hits += this.num_served > 0
    this.num_served += 1
    state.progress[0].last_progress = now
    remove_from_queue(bank, position, channel, state, p)
    if command == READ:
        apply_read(bank, channel, now, state, p)
        owner.num_reads += 1
        _finish_reads(slot, now, done, next_merged, state, p)
        release_slot(channel, slot, state, p)
    else:
        apply_write(bank, channel, now, state, p)
        owner.num_writes += 1
        release_slot(channel, slot, state, p)


@kernel
def schedule(
    channel: int,
    now: int,
    done: NDArray[np.int64],
    next_merged: NDArray[np.int64],
    state: Records,
    p: Records,
) -> None:
    """Issue at most one command (two on separate row and column buses) and set ``next_command``.

    ``next_command`` is never later than the cycle at which a command can next be issued if nothing else
    happens, which makes skipping the cycles before it exact.
    """
    owner = state.channels[channel]
    command, bank, position = NOTHING, 0, 0
    rank = due_rank(channel, state, p)
    if rank >= 0:
        step = refresh_step(rank, now, state, p)
        if step >= 0:
            command, bank = PRECHARGE, step
        elif step == REFRESH_ISSUE:
            command, bank = REFRESH, rank * p.banks_per_rank
    earliest = now + 1
    if command == NOTHING:
        command, bank, position, earliest = _scan(channel, now, state, p)
    if command == NOTHING:
        owner.next_command = now + 1 if rank >= 0 else earliest
        return
    _issue(command, bank, position, channel, now, done, next_merged, state, p)
    owner.next_command = now + 1
    if p.has_dual_command:
        is_data = command in (READ, WRITE)
        command, bank, position, earliest = _scan(channel, now, state, p)
        if command != NOTHING and is_data != (command in (READ, WRITE)):
            _issue(command, bank, position, channel, now, done, next_merged, state, p)
