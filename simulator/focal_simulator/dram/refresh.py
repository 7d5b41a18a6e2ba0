"""Numba: rank-staggered all-bank refresh.

Every tREFI / ranks cycles the next rank in turn becomes due. While it waits its bank queues are frozen; its
banks are closed one per cycle in order, and the refresh goes out when all are closed and rested.
"""

from __future__ import annotations

from focal_simulator.dram.constraints import precharge_ready_cycle
from focal_simulator.dram.layout import CLOSED, NEVER, Records
from focal_simulator.kernels.jit import inlined_kernel

__all__ = ["REFRESH_ISSUE", "due_rank", "refresh_step"]

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
