"""Replay a list of requests, cycle by cycle, on a memory system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from focal_common.errors import ConfigError, RunError
from focal_simulator.dram.energy import CommandCounts, DramEnergy, energy_of
from focal_simulator.dram.feeder import replay_kernel
from focal_simulator.dram.layout import MAX_LOGGED_COMMANDS, build_parameters, build_state
from focal_simulator.dram.specs import load_dram_spec
from focal_simulator.hardware.memory import DramSpec

MAX_ADDRESS = 1 << 60
MAX_CYCLE = 1 << 60
"""Leaves room in int64 for every delay the kernels add."""


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What one replay found.

    Attributes:
        spec: The memory system.
        accept_cycles: (requests,) int64; -1 where a stopped run did not accept.
        done_cycles: (requests,) int64; -1 where a stopped run did not complete.
        cycles: Clocks from 0 to the last completion, inclusive.
        counts: Commands and rank-cycles.
        energy: Energy by cause.
        is_complete: False if the no-progress watchdog stopped the run.
        commands: The first commands issued, as a record array, if asked for.
    """

    spec: DramSpec
    accept_cycles: NDArray[np.int64]
    done_cycles: NDArray[np.int64]
    cycles: int
    counts: CommandCounts
    energy: DramEnergy
    is_complete: bool
    commands: NDArray[Any]

    @property
    def time_ns(self) -> float:
        """Simulated time."""
        return self.cycles * self.spec.device.timing.clock_ns

    @property
    def num_completed(self) -> int:
        """Requests that completed."""
        return int((self.done_cycles >= 0).sum())


def _checked(values: ArrayLike, name: str, limit: int) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ConfigError(
            f"{name}: expected a 1-D array of integers, got {array.dtype} of shape {array.shape}"
        )
    if array.size and (int(array.min()) < 0 or int(array.max()) >= limit):
        raise ConfigError(f"{name}: expected values in [0, {limit}), got {array.min()} to {array.max()}")
    return np.ascontiguousarray(array, np.int64)


def replay(
    spec: DramSpec | str,
    addresses: ArrayLike,
    is_write: ArrayLike,
    earliest_cycles: ArrayLike | None = None,
    *,
    issue_width: int | None = None,
    is_artifact: bool = False,
    watchdog_cycles: int = 200_000,
    allow_incomplete: bool = False,
    num_logged_commands: int = 0,
) -> ReplayResult:
    """Replay requests in order and return their completion cycles, command counts and energy.

    Args:
        spec: A memory system or the name of a preset.
        addresses: (requests,) byte addresses; they wrap at the capacity.
        is_write: (requests,) bool.
        earliest_cycles: (requests,) cycle before which a request is not offered; all 0 if None.
        issue_width: Requests offered per clock; the system's own if None.
        is_artifact: Reproduce the read starvation of DRAMsim3 1.0 (for validation only).
        watchdog_cycles: Stop when no request is accepted and no data moves for this long.
        allow_incomplete: Return a stopped run instead of raising.
        num_logged_commands: Keep this many of the first commands.

    Raises:
        ConfigError: Arrays of unequal length or wrong type, or values out of range.
        RunError: The run made no progress and ``allow_incomplete`` is False.

    Example:
        >>> replay("ddr4_1ch_shipped", [0], [False]).done_cycles.tolist()
        [38]
    """
    system = load_dram_spec(spec) if isinstance(spec, str) else spec
    address_array = _checked(addresses, "addresses", MAX_ADDRESS)
    num_requests = address_array.size
    write_array = np.ascontiguousarray(is_write, np.bool_)
    if earliest_cycles is None:
        earliest_cycles = np.zeros(num_requests, np.int64)
    earliest_array = _checked(earliest_cycles, "earliest_cycles", MAX_CYCLE)
    for name, array in (("is_write", write_array), ("earliest_cycles", earliest_array)):
        if array.shape != (num_requests,):
            raise ConfigError(
                f"{name}: expected one value per request ({num_requests}), got shape {array.shape}"
            )
    width = system.issue_width if issue_width is None else issue_width
    for name, value in (("issue_width", width), ("watchdog_cycles", watchdog_cycles)):
        if value < 1:
            raise ConfigError(f"{name}: expected at least 1, got {value}")
    if not 0 <= num_logged_commands <= MAX_LOGGED_COMMANDS:
        raise ConfigError(
            f"num_logged_commands: expected 0 to {MAX_LOGGED_COMMANDS}, got {num_logged_commands}"
        )
    parameters = build_parameters(system, width, is_artifact, watchdog_cycles, num_logged_commands)
    states = build_state(parameters)
    state = states[0]
    accept = np.full(num_requests, -1, np.int64)
    done = np.full(num_requests, -1, np.int64)
    is_complete = True
    if num_requests:
        is_complete = bool(
            replay_kernel(address_array, write_array, earliest_array, accept, done, states, parameters)
        )
    if not is_complete and not allow_incomplete:
        raise RunError(
            f"memory {system.name}: no progress for {watchdog_cycles} cycles after "
            f"{int((done >= 0).sum())} of {num_requests} requests; "
            "raise watchdog_cycles or leave artifact mode"
        )
    cycles = int(state["progress"][0]["now"]) + 1 if num_requests else 0
    counts = CommandCounts.from_state(state, system, cycles)
    return ReplayResult(
        spec=system,
        accept_cycles=accept,
        done_cycles=done,
        cycles=cycles,
        counts=counts,
        energy=energy_of(system, counts, counts.closed_rank_cycles),
        is_complete=is_complete,
        commands=state["log"][: int(state["progress"][0]["num_logged"])].copy(),
    )
