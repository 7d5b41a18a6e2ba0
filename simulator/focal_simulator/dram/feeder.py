"""Numba: the clock loop. Feeds requests in order, ticks channels with something to do, skips the rest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from focal_simulator.dram.layout import NEVER, Records
from focal_simulator.dram.queues import admit_request, move_transaction
from focal_simulator.dram.scheduler import schedule
from focal_simulator.kernels.jit import inlined_kernel, kernel


@inlined_kernel
def _tick(
    channel: int,
    now: int,
    done: NDArray[np.int64],
    next_merged: NDArray[np.int64],
    state: Records,
    p: Records,
) -> None:
    owner = state.channels[channel]
    if now == owner.next_refresh:
        owner.next_refresh += p.refresh_interval
        owner.num_refresh_due += 1
        owner.next_command = now
    if now >= owner.next_command:
        schedule(channel, now, done, next_merged, state, p)
    if owner.is_move_due:
        move_transaction(channel, now, state, p)


@inlined_kernel
def _wake_cycle(channel: int, now: int, state: Records) -> int:
    owner = state.channels[channel]
    if owner.is_move_due:
        return now + 1
    cycle: int = min(owner.next_command, owner.next_refresh)
    return cycle


@inlined_kernel
def _feed(
    now: int,
    addresses: NDArray[np.int64],
    is_write: NDArray[np.bool_],
    earliest: NDArray[np.int64],
    accept: NDArray[np.int64],
    done: NDArray[np.int64],
    next_merged: NDArray[np.int64],
    wake: NDArray[np.int64],
    state: Records,
    p: Records,
) -> int:
    """Offer up to ``issue_width`` requests; return the next cycle at which offering can succeed unaided."""
    progress = state.progress[0]
    for _ in range(p.issue_width):
        request = progress.next_request
        if request == addresses.size:
            return NEVER
        if earliest[request] > now:
            cycle: int = earliest[request]
            return cycle
        channel = (addresses[request] >> p.channel_shift) & p.channel_mask
        if not admit_request(
            request, addresses[request], is_write[request], channel, now, done, next_merged, state, p
        ):
            return NEVER  # only a tick of that channel can make room
        accept[request] = now
        progress.next_request += 1
        progress.last_progress = now
        wake[channel] = now + 1
    return now + 1


@kernel
def replay_kernel(
    addresses: NDArray[np.int64],
    is_write: NDArray[np.bool_],
    earliest: NDArray[np.int64],
    accept: NDArray[np.int64],
    done: NDArray[np.int64],
    states: Records,
    parameters: Records,
) -> bool:
    """Run until every request has completed; return False if the watchdog stopped the run.

    Order within a cycle: refresh becomes due, one command, one move, new requests. All of a channel's state
    changes at known cycles, so the clock jumps to the next of them.

    Args:
        addresses: (requests,) int64 byte addresses.
        is_write: (requests,) bool.
        earliest: (requests,) int64, cycle before which a request is not offered.
        accept: (requests,) int64, filled with the cycle of acceptance.
        done: (requests,) int64, filled with the cycle of completion.
        states: As from `build_state`.
        parameters: As from `build_parameters`.
    """
    p = parameters[0]
    state = states[0]
    progress = state.progress[0]
    next_merged = np.empty(addresses.size, np.int64)
    wake = np.empty(p.channels, np.int64)
    for channel in range(p.channels):
        wake[channel] = state.channels[channel].next_refresh
    next_feed = 0
    now = 0
    while True:
        for channel in range(p.channels):
            if wake[channel] <= now:
                _tick(channel, now, done, next_merged, state, p)
                wake[channel] = _wake_cycle(channel, now, state)
        if progress.next_request < addresses.size:
            next_feed = _feed(now, addresses, is_write, earliest, accept, done, next_merged, wake, state, p)
        is_all_done = progress.next_request == addresses.size and progress.num_reads_open == 0
        if is_all_done and now >= progress.last_done:
            break
        following = next_feed if progress.next_request < addresses.size else NEVER
        if is_all_done:
            following = progress.last_done
        for channel in range(p.channels):
            following = min(following, wake[channel])
        is_waiting = progress.num_reads_open > 0 or (
            progress.next_request < addresses.size and earliest[progress.next_request] <= now
        )
        if is_waiting and now - progress.last_progress > p.watchdog:
            progress.now = now
            return False
        now = following
    progress.now = now
    return True
