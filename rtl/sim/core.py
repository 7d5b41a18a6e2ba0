"""Runs cases through the RTL core and compares what comes out with numpy and with the models of time."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim.build import Tools, build, simulate
from sim.cases import Case, write_cases
from sim.expected import Expected, expected
from sim.latencies import Latencies
from sim.maxplus import EVENTS, Times, times_of

_BATCH = 250
_WORDS = 900_000  # places of a bench's memories


@dataclass
class Observed:
    """What the RTL did with one case."""

    times: Times
    outputs: list[NDArray[np.generic]] = field(default_factory=list)
    indices: list[list[NDArray[np.int64]]] = field(default_factory=list)
    means: list[list[NDArray[np.generic]]] = field(default_factory=list)


@dataclass
class Tally:
    """How many cases were compared, and the first difference of each kind.

    Attributes:
        cases: How many. events: Events compared. outputs, indices, means: Numbers compared.
        differences: One sentence for each case and kind that differs.
    """

    cases: int = 0
    events: int = 0
    outputs: int = 0
    indices: int = 0
    means: int = 0
    cycles: int = 0
    differences: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Add another tally."""
        for name in ("cases", "events", "outputs", "indices", "means", "cycles"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.differences += other.differences


def _rows(path: Path, width: int, dtype: str) -> NDArray[np.generic]:
    """Return lines of hex as rows of numbers, number 0 from the lowest bits."""
    raw = np.frombuffer(bytes.fromhex(path.read_text()), dtype=dtype)
    return raw.reshape(-1, width)[:, ::-1]


def observe(program: Path, cases: list[Case]) -> list[Observed]:
    """Run cases of one machine on a built bench and return what was observed."""
    machine = cases[0].machine
    with tempfile.TemporaryDirectory(prefix="focal-rtl-") as name:
        folder = Path(name)
        write_cases(cases, folder)
        simulate(program, folder, len(cases))
        events = np.array((folder / "events.txt").read_text().split(), dtype=np.int64).reshape(-1, 4)
        outputs = _rows(folder / "outputs.hex", machine.columns, ">f4" if machine.is_float else ">i4")
        means = _rows(folder / "means.hex", machine.columns, ">f2" if machine.is_float else ">i1")
        indices = np.array((folder / "indices.txt").read_text().split(), dtype=np.int64)
    found = []
    at_output = at_index = at_mean = 0
    for number, case in enumerate(cases):
        own = events[events[:, 0] == number]
        times = {kind: own[own[:, 1] == place, 3].tolist() for place, kind in enumerate(EVENTS)}
        if (own[:, 1] == 12).any():
            times["stuck"] = [1]
        one = Observed(times)
        for tile, _, columns in case.groups:
            rows = case.rows[tile]
            block = outputs[at_output : at_output + rows * columns]
            at_output += len(block)
            one.outputs.append(block.reshape(columns, -1, machine.columns).transpose(1, 0, 2))
            if not case.has_gather:
                continue
            one.indices.append(
                [indices[at_index + rows * c : at_index + rows * (c + 1)] for c in range(columns)]
            )
            at_index += rows * columns
            one.means.append([])
            for column in range(columns if case.mean_cycles else 0):
                count = int(one.indices[-1][column].max()) + 1  # as many as the RTL found, right or wrong
                one.means[-1].append(means[at_mean : at_mean + count])
                at_mean += count
        found.append(one)
    return found


def _same(first: NDArray[np.generic], second: NDArray[np.generic]) -> bool:
    """Compare bit by bit; any NaN equals any NaN."""
    if first.shape != second.shape:
        return False
    if not np.issubdtype(second.dtype, np.floating):
        return bool((first == second).all())
    bits = {2: np.uint16, 4: np.uint32}[second.dtype.itemsize]
    first, second = (
        np.ascontiguousarray(one).astype(second.dtype.newbyteorder("=")) for one in (first, second)
    )
    is_same = (first.view(bits) == second.view(bits)) | (np.isnan(first) & np.isnan(second))
    return bool(is_same.all())


def compare(case: Case, observed: Observed, wanted: Expected) -> Tally:
    """Compare one case with numpy and with the recurrences at the RTL's latencies."""
    tally = Tally(cases=1)
    times = times_of(
        case, Latencies.of_rtl(case.machine), wanted.unique_outputs() if case.mean_cycles else None
    )
    told = set(EVENTS)
    told -= set() if case.read_numerator else {"fetch_start", "fetch_arrives"}
    told -= set() if case.write_numerator else {"write_start", "written"}
    told -= set() if case.has_gather else {"gathered"}
    told -= set() if case.lanes else {"scattered"}
    if "stuck" in observed.times:
        tally.differences.append(f"{case.name}: the RTL does not come to an end")
        return tally
    for kind in EVENTS:
        if kind in told:
            tally.events += len(times[kind])
            if observed.times[kind] != times[kind]:
                pairs = zip(observed.times[kind], times[kind], strict=False)
                place = next((i for i, (x, y) in enumerate(pairs) if x != y), -1)
                seen = observed.times[kind][place] if observed.times[kind] else None
                tally.differences.append(
                    f"{case.name}: {kind} {place} in cycle {seen} of the RTL, {times[kind][place]} of the recurrences"
                )
    tally.cycles = max(times["written"])
    for name in ("outputs", "indices", "means"):
        seen, goal = getattr(observed, name), getattr(wanted, name)
        if name != "outputs":
            seen, goal = (list(chain.from_iterable(one)) for one in (seen, goal))
        pairs = list(zip(seen, goal, strict=True))
        setattr(tally, name, sum(second.size for _, second in pairs))
        if not all(_same(first, second) for first, second in pairs):
            tally.differences.append(f"{case.name}: {name} of the RTL differ from numpy")
    return tally


def batches(cases: list[Case]) -> list[list[Case]]:
    """Split cases of one machine so that each part fits the memories of the bench."""
    found: list[list[Case]] = []
    words = _WORDS
    for case in cases:
        size = (
            case.tiles * case.slices * case.machine.tile_rows + case.slices * case.columns * case.machine.rows
        )
        if words + size > _WORDS or len(found[-1]) >= _BATCH:
            found.append([])
            words = 0
        found[-1].append(case)
        words += size
    return found


def check_cases(tools: Tools, cases: list[Case], source: Path | None = None) -> Tally:
    """Run cases of one machine and compare all of them."""
    machine = cases[0].machine
    program = build(tools, "bench_core", machine.parameters(), *([source] if source else []))
    tally = Tally()
    for batch in batches(cases):
        wanted = [expected(case) for case in batch]
        seen = observe(program, batch)
        for case, one, goal in zip(batch, seen, wanted, strict=True):
            tally.add(compare(case, one, goal))
    return tally
