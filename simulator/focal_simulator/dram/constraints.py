"""Numba: when a command becomes legal, and which commands it delays in turn.

Model: each command pushes later the earliest legal cycle of others, at the level (bank, bank group, rank) the
data sheet's rule speaks of. A same-group delay is never below the other-group delay, so the rank level may
hold the other-group value for every group. Additive latency is 0.
"""

from __future__ import annotations

from focal_simulator.dram.layout import CLOSED, Records
from focal_simulator.kernels.jit import inlined_kernel


@inlined_kernel
def activate_ready_cycle(bank: int, state: Records, p: Records) -> int:
    """Return the first cycle at which ``bank`` may be activated: tRC, tRP, tRRD, tRFC and tFAW."""
    this = state.banks[bank]
    rank = this.rank
    # the oldest of the last four activates sits where the next one will be written
    window = state.windows[rank, state.ranks[rank].window_next] + p.activate_window
    own = max(this.activate_ready, window)
    cycle: int = max(own, max(state.groups[this.group].activate_ready, state.ranks[rank].activate_ready))
    return cycle


@inlined_kernel
def read_ready_cycle(bank: int, state: Records) -> int:
    """Return the first cycle at which an open ``bank`` may be read: tRCD, tCCD, tWTR, rank switch."""
    this = state.banks[bank]
    shared = max(state.groups[this.group].read_ready, state.ranks[this.rank].read_ready)
    cycle: int = max(this.column_ready, shared)
    return cycle


@inlined_kernel
def write_ready_cycle(bank: int, state: Records) -> int:
    """Return the first cycle at which an open ``bank`` may be written: tRCD, tCCD, bus turn-around."""
    this = state.banks[bank]
    shared = max(state.groups[this.group].write_ready, state.ranks[this.rank].write_ready)
    cycle: int = max(this.column_ready, shared)
    return cycle


@inlined_kernel
def precharge_ready_cycle(bank: int, state: Records) -> int:
    """Return the first cycle at which an open ``bank`` may be closed: tRAS, tRTP, tWR, tPPD."""
    this = state.banks[bank]
    cycle: int = max(this.precharge_ready, state.ranks[this.rank].precharge_ready)
    return cycle


@inlined_kernel
def apply_activate(bank: int, row: int, now: int, state: Records, p: Records) -> None:
    """Open ``row``; delays activates (tRC, tRRD, tFAW), column commands (tRCD), the precharge (tRAS)."""
    this = state.banks[bank]
    rank = state.ranks[this.rank]
    group = state.groups[this.group]
    this.open_row = row
    this.num_served = 0
    this.activate_ready = max(this.activate_ready, now + p.activate_same_bank)
    this.column_ready = now + p.activate_column
    this.precharge_ready = max(this.precharge_ready, now + p.activate_precharge)
    group.activate_ready = max(group.activate_ready, now + p.activate_same_group)
    rank.activate_ready = max(rank.activate_ready, now + p.activate_other_group)
    state.windows[this.rank, rank.window_next] = now
    rank.window_next = (rank.window_next + 1) & 3
    if rank.num_open == 0:
        rank.open_since = now
    rank.num_open += 1


@inlined_kernel
def apply_precharge(bank: int, now: int, state: Records, p: Records) -> None:
    """Close the row. Delays the next activate or refresh (tRP) and, on LPDDR4, other precharges (tPPD)."""
    this = state.banks[bank]
    rank = state.ranks[this.rank]
    this.open_row = CLOSED
    this.activate_ready = max(this.activate_ready, now + p.precharge_activate)
    rank.precharge_ready = max(rank.precharge_ready, now + p.precharge_precharge)
    rank.num_open -= 1
    if rank.num_open == 0:
        rank.open_cycles += now - rank.open_since


@inlined_kernel
def apply_refresh(rank: int, now: int, state: Records, p: Records) -> None:
    """Refresh a closed rank. Delays its activates and its next refresh by tRFC."""
    first = rank * p.banks_per_rank
    for bank in range(first, first + p.banks_per_rank):
        this = state.banks[bank]
        this.activate_ready = max(this.activate_ready, now + p.refresh_busy)


@inlined_kernel
def apply_read(bank: int, channel: int, now: int, state: Records, p: Records) -> None:
    """Issue a read burst; delays reads (tCCD, rank switch), writes (turn-around), the precharge (tRTP)."""
    this = state.banks[bank]
    group = state.groups[this.group]
    this.precharge_ready = max(this.precharge_ready, now + p.read_precharge)
    group.read_ready = max(group.read_ready, now + p.read_read_same_group)
    first = channel * p.ranks
    for rank_index in range(first, first + p.ranks):
        rank = state.ranks[rank_index]
        gap = p.read_read_other_group if rank_index == this.rank else p.read_read_other_rank
        rank.read_ready = max(rank.read_ready, now + gap)
        rank.write_ready = max(rank.write_ready, now + p.read_write)


@inlined_kernel
def apply_write(bank: int, channel: int, now: int, state: Records, p: Records) -> None:
    """Issue a write burst. Delays writes (tCCD), reads (tWTR, rank switch), the precharge (tWR)."""
    this = state.banks[bank]
    group = state.groups[this.group]
    this.precharge_ready = max(this.precharge_ready, now + p.write_precharge)
    group.write_ready = max(group.write_ready, now + p.write_write_same_group)
    group.read_ready = max(group.read_ready, now + p.write_read_same_group)
    first = channel * p.ranks
    for rank_index in range(first, first + p.ranks):
        rank = state.ranks[rank_index]
        if rank_index == this.rank:
            rank.write_ready = max(rank.write_ready, now + p.write_write_other_group)
            rank.read_ready = max(rank.read_ready, now + p.write_read_other_group)
        else:
            rank.write_ready = max(rank.write_ready, now + p.write_write_other_rank)
            rank.read_ready = max(rank.read_ready, now + p.write_read_other_rank)
