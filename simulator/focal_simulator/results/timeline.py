"""A timeline in Chrome's trace format, which Perfetto opens: layers of the whole run, units of one window."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from focal_common.errors import ConfigError, near_matches
from focal_common.files import atomic_write_bytes
from focal_simulator.engine.cycle.fold_events import UNITS, fold_events
from focal_simulator.engine.cycle.simulate import CycleResult
from focal_simulator.engine.cycle.timing import JobTime
from focal_simulator.hardware.specs import SERIAL_UNITS
from focal_simulator.jobs.jobs import CAUSES

BESIDE = ("sfu", "sec", *SERIAL_UNITS, "scatter")
"""Units that work beside the array and not fold by fold."""

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
    result: CycleResult, clock_hz: float, layer: str = "", window_cycles: int = 100_000, arrays: int = 1
) -> dict[str, Any]:
    """Return the trace as a JSON-like value; times are microseconds of simulated time.

    Args:
        result: A run of the engine.
        clock_hz: Array clock.
        layer: GEMM whose units are shown; the longest if empty.
        window_cycles: Cycles shown from the start of that GEMM.
        arrays: Of the accelerator.

    Raises:
        ConfigError: No such layer, no window, or several arrays.
    """
    if window_cycles < 1:
        raise ConfigError(
            f"cycles of a timeline: expected at least 1, got {window_cycles}", about=("timeline_cycles",)
        )
    if arrays > 1:
        raise ConfigError(f"a timeline shows one array, got arrays={arrays}; expected 1", about=("timeline",))
    clock = _Clock(clock_hz)
    start, chosen = find_job(result.times, layer)
    events = [*_layer_events(result.times, clock), *_names(_name(chosen))]
    events += _unit_events(chosen, start, window_cycles, clock)
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
                clock.span(start + event.start_cycles, start + stop),
                {"cycles": event.stop_cycles - event.start_cycles},
            )
        )
    return {"displayTimeUnit": "ns", "traceEvents": events}


@dataclass(frozen=True)
class _Clock:
    hertz: float

    def span(self, start_cycles: int, stop_cycles: int) -> tuple[float, float]:
        """Return start and length in microseconds, both from whole nanoseconds, so that nested slices stay nested."""
        start, stop = (round(cycles * 1e9 / self.hertz) for cycles in (start_cycles, stop_cycles))
        return start / 1000, (stop - start) / 1000


def _slice(
    process: int, track: int, name: str, span: tuple[float, float], facts: dict[str, Any]
) -> dict[str, Any]:
    return {
        "ph": "X",
        "pid": process,
        "tid": track,
        "name": name,
        "ts": span[0],
        "dur": span[1],
        "args": facts,
    }


def _unit_events(time: JobTime, start: int, window_cycles: int, clock: _Clock) -> list[dict[str, Any]]:
    """Units beside the array, busy from the start of the GEMM on."""
    return [
        _slice(
            _WINDOW,
            len(UNITS) + 1 + place,
            unit,
            clock.span(start, start + min(time.job.parallel_cycles[unit], window_cycles)),
            {"cycles": time.job.parallel_cycles[unit]},
        )
        for place, unit in enumerate(BESIDE)
        if time.job.parallel_cycles.get(unit)
    ]


def _layer_events(times: Iterable[JobTime], clock: _Clock) -> list[dict[str, Any]]:
    """One slice per block, and inside it one per GEMM with its causes."""
    events: list[dict[str, Any]] = []
    blocks: dict[int, list[int]] = {}
    cursor = 0
    for time in times:
        stop = cursor + time.total_cycles
        span = blocks.setdefault(time.job.block, [cursor, stop])
        span[1] = stop
        facts = {cause: int(value) for cause, value in zip(CAUSES, time.causes, strict=True) if value}
        events.append(_slice(_LAYERS, 1, _name(time), clock.span(cursor, stop), facts))
        cursor = stop
    outer = [_slice(_LAYERS, 1, f"block {block}", clock.span(*span), {}) for block, span in blocks.items()]
    return sorted([*outer, *events], key=lambda event: (event["ts"], -event["dur"]))


def _names(layer: str) -> list[dict[str, Any]]:
    def meta(kind: str, process: int, track: int, name: str) -> dict[str, Any]:
        return {"ph": "M", "pid": process, "tid": track, "name": kind, "args": {"name": name}}

    return [
        meta("process_name", _LAYERS, 0, "layers"),
        meta("thread_name", _LAYERS, 1, "blocks and GEMMs"),
        meta("process_name", _WINDOW, 0, f"units during the start of {layer}, one copy"),
        *(meta("thread_name", _WINDOW, place + 1, unit) for place, unit in enumerate((*UNITS, *BESIDE))),
    ]


def write_timeline(path: Path, trace: dict[str, Any]) -> None:
    """Write a trace, compressed if the name ends in ``.gz``; same trace, same bytes."""
    content = (json.dumps(trace, separators=(",", ":")) + "\n").encode("utf-8")
    atomic_write_bytes(path, gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
