"""How often each unit of a run acted, as action counts for Accelergy, whose estimators then price them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from focal_common.files import atomic_write_text
from focal_simulator.accelerators.base import Accelerator
from focal_simulator.engine.base import Fidelity
from focal_simulator.engine.cycle.simulate import CycleResult
from focal_simulator.workload.arithmetic import ceil_div

_VERSION = "0.4"


def action_counts(
    accelerator: Accelerator[Any], result: CycleResult, fidelity: Fidelity, request_bytes: int
) -> dict[str, dict[str, int]]:
    """Return counts by component and action.

    Args:
        accelerator: What ran; its name is the top of the tree.
        result: Of the run.
        fidelity: Says what counts as part of the accelerator.
        request_bytes: Of one access to DRAM.

    Returns:
        ``multipliers``: ``compute`` (multiply-accumulates); each unit of the core: ``compute`` (busy cycles); each
        buffer: ``read`` and ``write`` (accesses of its port); ``dram``: ``read`` and ``write`` (requests). Of several
        arrays it is the sum. Units and buffers have ``leak`` as well: the cycles of the run.
    """
    name, cycles = accelerator.name, int(result.total_cycles)
    busy = {item.name: int(item.actions) for item in result.breakdown if item.group == "core"}
    found = {f"{name}.multipliers": {"compute": int(result.macs)}}
    for part in fidelity.components(accelerator):
        found[f"{name}.{_plain(part.label)}"] = {"compute": busy.get(part.label, cycles), "leak": cycles}
    for need in accelerator.buffers(getattr(fidelity, "corrections", frozenset())):
        moved = (int(result.moved_bytes.get(("sram", way, need.name), 0)) for way in ("read", "write"))
        read, written = (ceil_div(amount, need.port_bytes) for amount in moved)
        found[f"{name}.{_plain(need.name)}"] = {"read": read, "write": written, "leak": cycles}
    dram = {"read": 0, "write": 0}
    for (level, way, _), amount in result.moved_bytes.items():
        if level == "dram":
            dram[way] += int(amount)
    found[f"{name}.dram"] = {way: ceil_div(amount, request_bytes) for way, amount in dram.items()}
    return found


def write_action_counts(path: Path, counts: dict[str, dict[str, int]]) -> None:
    """Write counts in the form that Accelergy's documentation gives for its input ``action_counts``.

    Raises:
        RunError: The file cannot be written.
    """
    lines = ["action_counts:", f"  version: '{_VERSION}'", "  local:"]
    for name, actions in counts.items():
        lines += [f"    - name: {name}", "      action_counts:"]
        lines += [f"        - {{name: {action}, counts: {count}}}" for action, count in actions.items()]
    atomic_write_text(path, "\n".join(lines) + "\n")


def _plain(label: str) -> str:
    """Return a label as a name in a tree: dots are its levels."""
    return re.sub(r"\W+", "_", label).strip("_").lower()
