"""A timeline in Chrome's trace format, which Perfetto opens: layers of the whole run, units of one window."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from focal_common.errors import ConfigError, near_matches
from focal_common.files import atomic_write_bytes
from focal_simulator.cycle.causes import CAUSES
from focal_simulator.cycle.fold_events import UNITS, fold_events
from focal_simulator.cycle.simulate import CycleResult
from focal_simulator.cycle.timing import JobTime

__all__ = ["find_job", "timeline", "write_timeline"]

_LAYERS, _WINDOW = 1, 2
"""Process numbers of the two groups of tracks."""


def _name(time: JobTime) -> str:
    job = time.job
    return f"{job.block}.{job.layer}" + ("" if job.part == "gemm" else f".{job.part}")


def find_job(times: Iterable[JobTime], layer: str) -> tuple[int, JobTime]:
    """Return the start and the time of a GEMM named ``9.o_proj`` or ``9.attn.scores``; empty takes the longest.

    Raises:
        ConfigError: No such GEMM; near matches are listed.
    """
    found = list(times)
    starts, cursor = {}, 0
    for place, time in enumerate(found):
        starts[place] = cursor
        cursor += time.total_cycles
    names = [_name(time) for time in found]
    if not layer:
        place = max(range(len(found)), key=lambda number: found[number].total_cycles)
    elif layer in names:
        place = names.index(layer)
    elif f"{layer}.scores" in names:
        place = names.index(f"{layer}.scores")
    else:
        raise ConfigError(f"no layer '{layer}' in this run; {near_matches(layer, names)}")
    return starts[place], found[place]


def timeline(
    result: CycleResult, clock_hz: float, layer: str = "", window_cycles: int = 100_000
) -> dict[str, Any]:
    """Return the trace as a JSON-like value; times are microseconds of simulated time.

    Args:
        result: A run of the engine.
        clock_hz: Array clock.
        layer: GEMM whose units are shown; the longest if empty.
        window_cycles: Cycles shown from the start of that GEMM.

    Raises:
        ConfigError: No such layer, or no window.
    """
    if window_cycles < 1:
        raise ConfigError(f"--timeline-cycles is {window_cycles}, expected at least 1")
    microseconds = 1e6 / clock_hz
    start, chosen = find_job(result.times, layer)
    events = [*_layer_events(result.times, microseconds), *_names(_name(chosen))]
    entry = None if chosen.job.tile_outputs is None else 0
    for event in fold_events(chosen.job, until_cycles=window_cycles, entry=entry):
        if event.start_cycles >= window_cycles:
            continue
        stop = min(event.stop_cycles, window_cycles)
        events.append(
            _slice(
                _WINDOW,
                UNITS.index(event.unit) + 1,
                event.label,
                (start + event.start_cycles) * microseconds,
                (stop - event.start_cycles) * microseconds,
                {"cycles": event.stop_cycles - event.start_cycles},
            )
        )
    return {"displayTimeUnit": "ns", "traceEvents": events}


def _slice(
    process: int, track: int, name: str, start: float, length: float, facts: dict[str, Any]
) -> dict[str, Any]:
    return {
        "ph": "X",
        "pid": process,
        "tid": track,
        "name": name,
        "ts": start,
        "dur": length,
        "args": facts,
    }


def _layer_events(times: Iterable[JobTime], microseconds: float) -> list[dict[str, Any]]:
    """One slice per block, and inside it one per GEMM with its causes."""
    events: list[dict[str, Any]] = []
    blocks: dict[int, list[int]] = {}
    cursor = 0
    for time in times:
        stop = cursor + time.total_cycles
        span = blocks.setdefault(time.job.block, [cursor, stop])
        span[1] = stop
        facts = {cause: int(value) for cause, value in zip(CAUSES, time.causes, strict=True) if value}
        events.append(
            _slice(_LAYERS, 1, _name(time), cursor * microseconds, (stop - cursor) * microseconds, facts)
        )
        cursor = stop
    outer = [
        _slice(_LAYERS, 1, f"block {block}", span[0] * microseconds, (span[1] - span[0]) * microseconds, {})
        for block, span in blocks.items()
    ]
    return sorted([*outer, *events], key=lambda event: (event["ts"], -event["dur"]))


def _names(layer: str) -> list[dict[str, Any]]:
    def meta(kind: str, process: int, track: int, name: str) -> dict[str, Any]:
        return {"ph": "M", "pid": process, "tid": track, "name": kind, "args": {"name": name}}

    return [
        meta("process_name", _LAYERS, 0, "layers"),
        meta("thread_name", _LAYERS, 1, "blocks and GEMMs"),
        meta("process_name", _WINDOW, 0, f"units during the start of {layer}, one copy"),
        *(meta("thread_name", _WINDOW, place + 1, unit) for place, unit in enumerate(UNITS)),
    ]


def write_timeline(path: Path, trace: dict[str, Any]) -> None:
    """Write a trace, compressed if the name ends in ``.gz``; same trace, same bytes."""
    content = (json.dumps(trace, separators=(",", ":")) + "\n").encode("utf-8")
    atomic_write_bytes(path, gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
