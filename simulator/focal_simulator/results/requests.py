"""The DRAM traffic of a run as a request trace that Ramulator 2 or DRAMsim3 replays.

Model: as of the engine's channel. What is read lies in the order in which it is fetched, from address 0 on; what is
written, from 4 GiB on. Requests of a transfer are spread evenly over its cycles; what units beside the array read or
write, over those of its GEMM.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import ConfigError, UnsupportedError
from focal_common.files import atomic_write_text
from focal_simulator.engine.cycle.fold_events import dram_events
from focal_simulator.engine.cycle.timing import JobTime
from focal_simulator.hardware.memory import DramSpec
from focal_simulator.workload.arithmetic import ceil_div

Numbers = NDArray[np.int64]

MOST_REQUESTS = 20_000_000
"""Lines of a trace: half a gigabyte of text."""

_WRITES_FROM = 1 << 32
_PLAIN_REQUEST_BYTES = 64


class _Transfer(NamedTuple):
    is_write: bool
    start_cycles: int
    stop_cycles: int
    amount_bytes: int


def dramsim3_line(address: int, is_write: bool, cycle: int) -> str:
    """Return a line of a DRAMsim3 trace: hexadecimal address, READ or WRITE, memory clock."""
    return f"0x{address:x} {'WRITE' if is_write else 'READ'} {cycle}\n"


def ramulator2_line(address: int, is_write: bool, cycle: int) -> str:
    """Return a line of Ramulator 2's load-store traces: LD or ST and address; they hold no time."""
    return f"{'ST' if is_write else 'LD'} 0x{address:x}\n"


def write_requests(
    path: Path,
    times: Sequence[JobTime],
    memory: DramSpec | None,
    clock_hz: float,
    line: Callable[[int, bool, int], str],
) -> None:
    """Write the requests of some GEMMs of a run, the first of which starts at cycle 0.

    Args:
        path: Text file.
        times: Of one run on one array, in order.
        memory: Gives size of a request and clock; None for a memory by its figures: 64 bytes, clock of the array.
        clock_hz: Of the array.
        line: One of the formats above.

    Raises:
        ConfigError: More requests than a trace may have.
        UnsupportedError: A GEMM is computed in part only.
        RunError: The file cannot be written.
    """
    granule = _PLAIN_REQUEST_BYTES if memory is None else memory.request_bytes
    moved = sum(sum(_moved(time).values()) for time in times)
    if (requests := ceil_div(moved, granule)) > MOST_REQUESTS:
        raise ConfigError(
            f"{path}: {requests:,} requests of {granule} B, expected at most {MOST_REQUESTS:,}; choose one GEMM "
            "(export_layer) or a smaller list",
            about=("export", "export_layer"),
        )
    per_cycle = 1.0 if memory is None else 1e9 / clock_hz / memory.device.timing.clock_ns
    ends, parts, begun = {False: 0, True: 0}, [], 0
    for time in times:
        for transfer in _transfers(time, begun):
            start = ends[transfer.is_write]
            ends[transfer.is_write] = start + transfer.amount_bytes
            parts.append(_requests(transfer, start, granule))
        begun += time.total_cycles
    addresses, writes, cycles = (np.concatenate([part[place] for part in parts]) for place in range(3))
    order = np.argsort(cycles, kind="stable")
    clocks = np.floor(cycles[order] * per_cycle).astype(np.int64)
    rows = zip(addresses[order].tolist(), writes[order].tolist(), clocks.tolist(), strict=True)
    atomic_write_text(path, "".join(line(*row) for row in rows))


def _moved(time: JobTime) -> dict[bool, int]:
    """Return the bytes that a GEMM reads (False) and writes (True)."""
    found = {False: 0, True: 0}
    for (level, way, _), value in time.job.traffic.items():
        if level == "dram":
            found[way == "write"] += value
    return found


def _transfers(time: JobTime, begun: int) -> Iterator[_Transfer]:
    """Yield what a GEMM moves: copy by copy what the array does, and the rest over the whole of it."""
    job = time.job
    name = f"{job.block}.{job.layer}"
    if job.copies_divisor != 1:
        raise UnsupportedError(
            f"{name}: is computed in part only, and a request trace has whole GEMMs; expected all corrections on"
        )
    left = _moved(time)
    events, cycles = dram_events(job)
    # What is not of the GEMM itself has passed before it, or passes beside it.
    serial = sum(job.serial_cycles.values())
    assert cycles * job.copies <= time.total_cycles - serial  # noqa: S101  (the events are those of the kernel)
    for copy in range(job.copies):
        start = begun + serial + copy * cycles
        for event in events:
            is_write = event.unit == "DRAM write"
            left[is_write] -= event.amount_bytes
            yield _Transfer(
                is_write, start + event.start_cycles, start + event.stop_cycles, event.amount_bytes
            )
    for is_write, amount in left.items():
        if amount:
            yield _Transfer(is_write, begun, begun + time.total_cycles, amount)


def _requests(transfer: _Transfer, start: int, granule: int) -> tuple[Numbers, NDArray[np.bool_], Numbers]:
    """Return address, direction and array cycle of the bursts that a transfer is the first to touch."""
    first, last = ceil_div(start, granule), ceil_div(start + transfer.amount_bytes, granule)
    places = np.arange(first, last, dtype=np.int64)
    length = transfer.stop_cycles - transfer.start_cycles
    cycles = transfer.start_cycles + (places - first) * length // max(len(places), 1)
    base = _WRITES_FROM if transfer.is_write else 0
    return base + places * granule, np.full(len(places), transfer.is_write), cycles
