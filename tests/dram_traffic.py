"""Short request lists for the memory tests."""

from __future__ import annotations

from typing import Any

from focal_simulator.dram.layout import build_parameters
from focal_simulator.dram.replay import ReplayResult, replay
from focal_simulator.dram.specs import load_dram_spec
from focal_simulator.hardware.memory import DramSpec

COMMANDS = {"activate": 1, "precharge": 2, "read": 3, "write": 4, "refresh": 5}

QUIET = ["device.timing.refresh_interval_cycles=1000000", "controller.write_drain_threshold=0"]
"""No refresh in a short run, and writes go out as soon as the queues are empty."""


def address_of(spec: DramSpec, **parts: int) -> int:
    """Return the byte address of row, channel, rank, bankgroup, bank, column (0 where not given)."""
    parameters: Any = build_parameters(spec, 1, False, 1, 0)[0]
    return sum(value << int(parameters[f"{part}_shift"]) for part, value in parts.items())


def run(spec: DramSpec, requests: list[tuple[str, int, dict[str, int]]]) -> ReplayResult:
    """Replay (operation, earliest cycle, address parts)."""
    return replay(
        spec,
        [address_of(spec, **parts) for _, _, parts in requests],
        [operation == "write" for operation, _, _ in requests],
        [cycle for _, cycle, _ in requests],
        issue_width=8,
        num_logged_commands=200,
    )


def cycles_of(result: ReplayResult, command: str, after: int = 0) -> list[int]:
    """Return the cycles at which a command was issued."""
    log = result.commands
    return [int(cycle) for cycle in log["cycle"][log["kind"] == COMMANDS[command]] if cycle >= after]


def ddr4(*overrides: str) -> DramSpec:
    """Return the one-channel DDR4 system with the given changes."""
    return load_dram_spec("ddr4_1ch_shipped", list(overrides))
