"""The arrays a replay works on: parameters as one record, state as arrays of records.

Built once per replay from a `DramSpec`; the kernels see nothing else. Holds no behaviour.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from focal_simulator.hardware.memory import (
    MAX_BANKS,
    MAX_CHANNELS,
    MAX_GROUPS,
    MAX_QUEUE_DEPTH,
    MAX_RANKS,
    MAX_TRANSACTION_DEPTH,
    DramSpec,
)

Records = Any
"""A numpy record or array of records. Any, because numpy types do not know field names."""

CLOSED = -1
"""Row number of a bank with no open row."""

NEVER = 1 << 62
"""A cycle that is never reached; leaves room to add any delay in int64."""

NUM_BUCKETS = 2048
"""Buckets of each pending-address table; at most a few hundred addresses are pending per channel."""


MAX_LOGGED_COMMANDS = 1024
MAX_SLOTS = MAX_CHANNELS * 2 * MAX_TRANSACTION_DEPTH + MAX_BANKS * MAX_QUEUE_DEPTH


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
    *("slots_per_channel", "num_logged"),
    *("has_dual_command", "serves_read_on_conflict", "watchdog"),
    # address mapping: (address >> shift) & mask
    "offset_shift",
    *(
        f"{part}_{kind}"
        for part in ("row", "channel", "rank", "bankgroup", "bank", "column")
        for kind in ("shift", "mask")
    ),
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
    *("num_waiting_reads", "num_waiting_writes", "num_blocked_reads", "num_blocked_writes"),
    *("drain_left", "num_in_queues", "num_free_slots"),
    "is_move_due",
    *("num_activates", "num_precharges", "num_reads", "num_writes", "num_refreshes", "num_row_hits"),
)
SLOT = _cycles(
    "address", "row", "column", "bank", "is_write", "first_request", "last_request", "next_in_bucket"
)
COMMAND_LOG = _cycles("cycle", "kind", "channel", "rank", "bank", "row", "column")
PROGRESS = _cycles(
    "now", "next_request", "num_reads_open", "last_progress", "last_done", "num_logged", "num_completed"
)


STATE = np.dtype(
    [
        # indices are global and ordered: channel, rank, group, bank
        ("progress", PROGRESS, (1,)),
        ("channels", CHANNEL, (MAX_CHANNELS,)),
        ("ranks", RANK, (MAX_RANKS,)),
        ("windows", np.int64, (MAX_RANKS, 4)),  # cycles of the last four activates
        ("groups", GROUP, (MAX_GROUPS,)),
        ("banks", BANK, (MAX_BANKS,)),
        ("queues", np.int64, (MAX_BANKS, MAX_QUEUE_DEPTH)),  # slots, oldest first
        ("waiting_reads", np.int64, (MAX_CHANNELS, MAX_TRANSACTION_DEPTH)),  # slots, oldest first
        ("waiting_writes", np.int64, (MAX_CHANNELS, MAX_TRANSACTION_DEPTH)),
        ("slots", SLOT, (MAX_SLOTS,)),  # one per pending address
        ("free_slots", np.int64, (MAX_SLOTS,)),  # one stack per channel
        ("buckets", np.int64, (2 * NUM_BUCKETS,)),  # first slot of each chain: reads, then writes; -1 if none
        ("log", COMMAND_LOG, (MAX_LOGGED_COMMANDS,)),
    ]
)
"""Everything that changes during a replay. One record of fixed size: kernels pass one pointer, and one
compiled kernel serves every memory system."""


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


def build_parameters(
    spec: DramSpec, issue_width: int, is_artifact: bool, watchdog_cycles: int, num_logged_commands: int
) -> Records:
    """Return the one-element record array of delays, shape, policy and address mapping.

    Args:
        spec: The memory system.
        issue_width: Requests the feeder offers per clock.
        is_artifact: Reproduce the published simulator's read starvation on a read-write conflict.
        watchdog_cycles: A run without progress for this long is stopped.
        num_logged_commands: Keep this many of the first commands.
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
        "slots_per_channel": 2 * controller.transaction_queue_depth
        + spec.ranks * organisation.banks * controller.bank_queue_depth,
        "num_logged": num_logged_commands,
    }
    parameters = np.zeros(1, PARAMETERS)
    for name in PARAMETERS.names or ():
        parameters[name] = values[name]
    return parameters.view(np.recarray)  # field access also where the JIT is switched off


def build_state(parameters: Records) -> Records:
    """Return the one-element state at cycle 0: every bank closed, every queue empty, nothing pending."""
    p = parameters[0]
    num_channels, num_banks = int(p["channels"]), int(p["channels"] * p["banks"])
    states = np.zeros(1, STATE)
    state = states[0]
    index = np.arange(num_banks)
    banks = state["banks"][:num_banks]
    banks["rank"] = index // p["banks_per_rank"]
    banks["group"] = index // p["banks_per_group"]
    banks["open_row"] = CLOSED
    state["windows"] = -NEVER
    state["buckets"] = -1
    channels = state["channels"][:num_channels]
    channels["next_command"] = NEVER
    channels["next_refresh"] = p["refresh_interval"]
    channels["num_free_slots"] = p["slots_per_channel"]
    num_slots = num_channels * int(p["slots_per_channel"])
    state["free_slots"][:num_slots] = np.arange(num_slots)
    return states.view(np.recarray)
