"""The arrays a replay works on: parameters as one record, state as arrays of records.

Built once per replay from a `DramSpec`; the kernels see nothing else. Holds no behaviour.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from focal_simulator.dram.specs import DramSpec

__all__ = ["CLOSED", "COMMAND_LOG", "NEVER", "NUM_BUCKETS", "State", "build_parameters", "build_state"]

Records = NDArray[Any]

CLOSED = -1
"""Row number of a bank with no open row."""

NEVER = 1 << 62
"""A cycle that is never reached; leaves room to add any delay in int64."""

NUM_BUCKETS = 2048
"""Buckets of each pending-address table; at most a few hundred addresses are pending per channel."""


def _cycles(*names: str) -> np.dtype[Any]:
    return np.dtype([(name, np.int64) for name in names])


PARAMETERS = _cycles(
    # delays between commands, in cycles
    *("read_read_same_group", "read_read_other_group", "read_read_other_rank"),
    *("write_write_same_group", "write_write_other_group", "write_write_other_rank"),
    *("write_read_same_group", "write_read_other_group", "write_read_other_rank", "read_write"),
    *("read_precharge", "write_precharge", "activate_column", "activate_precharge"),
    *("activate_same_bank", "activate_same_group", "activate_other_group", "activate_window"),
    *("precharge_activate", "precharge_precharge", "refresh_busy", "refresh_interval", "read_done"),
    # shape
    *("channels", "ranks", "banks", "groups", "banks_per_rank", "banks_per_group"),
    # policy
    *("queue_depth", "transaction_depth", "row_hit_cap", "drain_threshold", "issue_width"),
    *("has_dual_command", "serves_read_on_conflict", "watchdog"),
    # address mapping: (address >> shift) & mask
    "offset_shift",
    *(f"{part}_{kind}" for part in ("row", "channel", "rank", "bankgroup", "bank", "column") for kind in ("shift", "mask")),
)
BANK = _cycles(
    *("rank", "group", "open_row", "activate_ready", "precharge_ready", "column_ready"),
    *("num_queued", "num_read_hits", "num_write_hits", "num_served"),
)
GROUP = _cycles("activate_ready", "read_ready", "write_ready")
RANK = _cycles(
    *("activate_ready", "read_ready", "write_ready", "precharge_ready", "window_next"),
    *("num_open", "open_since", "open_cycles"),
)
CHANNEL = _cycles(
    *("pointer", "next_command", "next_refresh", "num_refresh_due", "refresh_rank"),
    *("num_waiting_reads", "num_waiting_writes", "drain_left", "num_in_queues", "num_free_slots"),
    *("is_move_due", "num_pending_reads"),
    *("num_activates", "num_precharges", "num_reads", "num_writes", "num_refreshes", "num_row_hits"),
)
SLOT = _cycles("address", "row", "column", "bank", "is_write", "first_request", "last_request", "next_in_bucket")
COMMAND_LOG = _cycles("cycle", "kind", "channel", "rank", "bank", "row", "column")
PROGRESS = _cycles("now", "next_request", "num_reads_open", "last_progress", "last_done", "num_logged", "num_completed")


class State(NamedTuple):
    """Everything that changes during a replay. Indices are global: bank = ((channel, rank, group), bank)."""

    banks: Records
    groups: Records
    ranks: Records
    channels: Records
    slots: Records  # one per pending address
    progress: Records  # one record
    windows: NDArray[np.int64]  # (ranks, 4) cycles of the last four activates
    queues: NDArray[np.int32]  # (banks, queue_depth) slots, oldest first
    waiting_reads: NDArray[np.int32]  # (channels, transaction_depth) slots, oldest first
    waiting_writes: NDArray[np.int32]  # (channels, transaction_depth)
    free_slots: NDArray[np.int32]  # (channels, slots per channel), a stack
    read_buckets: NDArray[np.int32]  # (NUM_BUCKETS,) first slot of each chain, -1 if none
    write_buckets: NDArray[np.int32]
    log: Records  # first commands issued; length 0 switches logging off


def _address_fields(spec: DramSpec) -> dict[str, int]:
    organisation = spec.device.organisation
    sizes = {
        "row": organisation.rows,
        "channel": spec.channels,
        "rank": spec.ranks,
        "bankgroup": organisation.bank_groups,
        "bank": organisation.banks_per_group,
        "column": organisation.columns // organisation.burst_length,
    }
    shift = organisation.request_bytes.bit_length() - 1
    fields = {"offset_shift": shift}
    for part in reversed(spec.address_order.split()):
        fields[f"{part}_shift"], fields[f"{part}_mask"] = shift, sizes[part] - 1
        shift += sizes[part].bit_length() - 1
    return fields


def _delays(spec: DramSpec) -> dict[str, int]:
    timing = spec.device.timing
    organisation = spec.device.organisation
    burst = organisation.burst_cycles
    read_latency, write_latency = timing.read_latency_cycles, timing.write_latency_cycles
    column_other = max(burst, timing.column_to_column_other_group_cycles)
    column_same = max(burst, timing.column_to_column_same_group_cycles)
    turn_other = timing.write_to_read_other_group_cycles
    turn_same = timing.write_to_read_same_group_cycles
    activate_other = timing.activate_to_activate_other_group_cycles
    activate_same = timing.activate_to_activate_same_group_cycles
    if organisation.bank_groups == 1:  # a device without bank groups has only the short values
        column_same, turn_same, activate_same = column_other, turn_other, activate_other
    return {
        "read_read_same_group": column_same,
        "read_read_other_group": column_other,
        "read_read_other_rank": burst + timing.rank_switch_cycles,
        "write_write_same_group": column_same,
        "write_write_other_group": column_other,
        "write_write_other_rank": burst,
        "write_read_same_group": write_latency + burst + turn_same,
        "write_read_other_group": write_latency + burst + turn_other,
        "write_read_other_rank": write_latency + burst + timing.rank_switch_cycles - read_latency,
        "read_write": read_latency + burst - write_latency + timing.rank_switch_cycles,
        "read_precharge": timing.read_to_precharge_cycles,
        "write_precharge": write_latency + burst + timing.write_recovery_cycles,
        "activate_column": timing.activate_to_column_cycles,
        "activate_precharge": timing.activate_to_precharge_cycles,
        "activate_same_bank": timing.activate_to_precharge_cycles + timing.precharge_cycles,
        "activate_same_group": activate_same,
        "activate_other_group": activate_other,
        "activate_window": timing.four_activate_window_cycles,
        "precharge_activate": timing.precharge_cycles,
        "precharge_precharge": timing.precharge_to_precharge_cycles,
        "refresh_busy": timing.refresh_cycles,
        "refresh_interval": timing.refresh_interval_cycles // spec.ranks,
        "read_done": read_latency + burst,
    }


def build_parameters(spec: DramSpec, issue_width: int, is_artifact: bool, watchdog_cycles: int) -> Records:
    """Return the one-element record array of delays, shape, policy and address mapping.

    Args:
        spec: The memory system.
        issue_width: Requests the feeder offers per clock.
        is_artifact: Reproduce the published simulator's read starvation on a read-write conflict.
        watchdog_cycles: A run without progress for this long is stopped.
    """
    organisation, controller = spec.device.organisation, spec.controller
    values = {
        **_delays(spec),
        **_address_fields(spec),
        "channels": spec.channels,
        "ranks": spec.ranks,
        "banks": spec.ranks * organisation.banks,
        "groups": spec.ranks * organisation.bank_groups,
        "banks_per_rank": organisation.banks,
        "banks_per_group": organisation.banks_per_group,
        "queue_depth": controller.bank_queue_depth,
        "transaction_depth": controller.transaction_queue_depth,
        "row_hit_cap": controller.row_hit_cap,
        "drain_threshold": controller.write_drain_threshold,
        "issue_width": issue_width,
        "has_dual_command": int(spec.device.has_dual_command),
        "serves_read_on_conflict": int(not is_artifact),
        "watchdog": watchdog_cycles,
    }
    parameters = np.zeros(1, PARAMETERS)
    for name in PARAMETERS.names or ():
        parameters[name] = values[name]
    return parameters


def build_state(parameters: Records, num_logged_commands: int = 0) -> State:
    """Return the state at cycle 0: every bank closed, every queue empty, nothing pending."""
    p = parameters[0]
    channels, banks_per_channel = int(p["channels"]), int(p["banks"])
    banks = np.zeros(channels * banks_per_channel, BANK)
    index = np.arange(banks.size)
    banks["rank"] = index // p["banks_per_rank"]
    banks["group"] = index // p["banks_per_group"]
    banks["open_row"] = CLOSED
    ranks = np.zeros(channels * int(p["ranks"]), RANK)
    state_channels = np.zeros(channels, CHANNEL)
    state_channels["next_command"] = NEVER
    state_channels["next_refresh"] = p["refresh_interval"]
    depth = int(p["transaction_depth"])
    per_channel = 2 * depth + banks_per_channel * int(p["queue_depth"])
    state_channels["num_free_slots"] = per_channel
    return State(
        banks=banks,
        groups=np.zeros(channels * int(p["groups"]), GROUP),
        ranks=ranks,
        channels=state_channels,
        slots=np.zeros(channels * per_channel, SLOT),
        progress=np.zeros(1, PROGRESS),
        windows=np.full((ranks.size, 4), -NEVER, np.int64),
        queues=np.zeros((banks.size, int(p["queue_depth"])), np.int32),
        waiting_reads=np.zeros((channels, depth), np.int32),
        waiting_writes=np.zeros((channels, depth), np.int32),
        free_slots=np.arange(channels * per_channel, dtype=np.int32).reshape(channels, per_channel),
        read_buckets=np.full(NUM_BUCKETS, -1, np.int32),
        write_buckets=np.full(NUM_BUCKETS, -1, np.int32),
        log=np.zeros(num_logged_commands, COMMAND_LOG),
    )
