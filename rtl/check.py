"""Checks the RTL against numpy, the kernels of Focus and the engine.

    python rtl/check.py [--full | --faults | --gates]

Without options: 8 x 8 arrays, under two minutes. Needs the extra `rtl` and a C++ compiler; where torch is installed
too, recorded tiles are compared with freshly computed maps of the kernels, elsewhere with stored ones.

Exit codes: 0 all equal, 1 something differs, 2 a tool is missing or misbehaves, or wrong use.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

RTL = Path(__file__).resolve().parent
_ROOMS = ("", "common", "traces", "algorithm", "simulator", "evaluation_scripts")
sys.path[:0] = [str(RTL), *(str(RTL.parent / room) for room in _ROOMS)]

try:
    import numpy as np

    from sim import recorded
    from sim.build import ToolError, Tools, build, describe, find_tools
    from sim.cases import Case, Machine, edge_cases, random_case
    from sim.core import Tally, check_cases
    from sim.self_test import self_test
    from sim.semantic import check_semantic, random_semantic_case
    from sim.studies import SEED, port_cases, port_lines, window_cases, window_lines
    from sim.units import check_units
except ModuleNotFoundError as error:
    print(f'error: {error.name} is not installed: pip install -e ".[rtl]"', file=sys.stderr)
    sys.exit(2)

HAS_TORCH = find_spec("torch") is not None

SMALL = {Machine(): 600, Machine(is_float=False, is_wavefront=True): 600}
"""Builds of the quick check, and random cases on each."""

FULL = {
    Machine(is_float=False): 400,
    Machine(is_wavefront=True): 400,
    Machine(rows=16, columns=4, is_float=False, tile_rows=64): 200,
    Machine(rows=32, columns=32, tile_rows=1024, window=64): 12,
}
"""What ``--full`` adds. 32 x 32 cases have tiles of up to 1,024 rows."""

RECORDED = Machine(tile_rows=256)
RECORDED_FULL = Machine(rows=32, columns=32, tile_rows=1024, window=64)
PUBLISHED_WINDOW = Machine(is_float=False, window=32)


class Report:
    """Prints a line for each part and remembers what differs."""

    def __init__(self) -> None:
        self.differences: list[str] = []
        self.total = Tally()

    def run(self, name: str, part: Callable[[], Tally]) -> Tally:
        """Run a part, print its line."""
        start = time.monotonic()
        tally = part()
        values = (
            (tally.cases, "cases"),
            (tally.events, "events"),
            (tally.outputs, "outputs"),
            (tally.indices, "map entries"),
            (tally.means, "means"),
        )
        counts = ", ".join(f"{number:,} {what}" for number, what in values if number)
        print(
            f"{'ok ' if not tally.differences else 'BAD'} {name}: {counts} ({time.monotonic() - start:.0f} s)",
            flush=True,
        )
        for line in tally.differences[:5]:
            print(f"    {line}")
        if len(tally.differences) > 5:
            print(f"    and {len(tally.differences) - 5} more")
        self.differences += tally.differences
        self.total.add(tally)
        return tally


def random_cases(machine: Machine, count: int) -> list[Case]:
    """Return random cases of a machine, always the same."""
    random = np.random.default_rng(SEED)
    most = 40 if machine.tile_rows <= 256 else machine.tile_rows
    return [random_case(random, machine, most, f"random case {number}") for number in range(count)]


def plain_cases(cases: list[Case]) -> list[Case]:
    """Return a sixth of the cases, with the options for which the engine has fields: there it must equal the RTL."""
    from sim.engine import with_fields

    return [replace(with_fields(case), name=f"{case.name}, plain") for case in cases[::6]]


def engine_tally(cases: Iterable[Case]) -> Tally:
    """Compare the recurrences with the engine on cases."""
    from sim.engine import compare_with_engine

    tally = Tally()
    for case in cases:
        tally.add(compare_with_engine(case))
    return tally


def kernel_tally(tiles: list[recorded.Tile], machine: Machine) -> Tally:
    """Compare the decisions of the matcher, without a limit of its window, and the means with the kernel of Focus.

    Without torch, with the stored maps, which are of 32 elements.
    """
    tally = Tally()
    w = machine.columns
    for tile in tiles:
        tally.cases += 1
        vectors = tile.vectors[:, : 2 * w]
        mine = recorded.model_maps(tile, vectors, machine)
        grid = (tile.grid.rows, tile.grid.columns, tile.grid.row_stride, tile.grid.frame_stride)
        if HAS_TORCH:
            theirs = recorded.kernel_maps(vectors, tile.positions, grid, tile.threshold, w)
        else:
            theirs = [(index, None) for index in tile.indices]
        if (
            HAS_TORCH
            and w == recorded.ELEMENTS
            and any((x != y[0]).any() for x, y in zip(tile.indices, theirs, strict=True))
        ):
            tally.differences.append(
                f"{tile.name}: the stored map is not the kernel's; run python rtl/record_tiles.py"
            )
        for place, (index, (goal, means)) in enumerate(zip(mine, theirs, strict=True)):
            tally.indices += len(index)
            if (index != goal).any():
                tally.differences.append(
                    f"{tile.name}, slice {place}: {int((index != goal).sum())} map entries differ from the kernel's"
                )
            elif means is not None:
                groups = recorded.group_means(
                    vectors[:, place * w : (place + 1) * w], index, int(index.max()) + 1, is_float=True
                )
                tally.means += groups.size
                if (groups != means).any():
                    tally.differences.append(f"{tile.name}, slice {place}: means differ from the kernel's")
    return tally


def tile_cases(tiles: list[recorded.Tile], machine: Machine) -> list[Case]:
    """Return the gather of every tile, and the GEMM that follows it."""
    cases = []
    for tile in tiles:
        maps = recorded.model_maps(tile, tile.vectors[:, : 2 * machine.columns], machine)
        cases += [recorded.gather_case(tile, machine), recorded.scatter_case(tile, machine, maps)]
    return cases


def check(tools: Tools, *, is_full: bool) -> Report:
    """Run all parts of the check."""
    report = Report()
    machines = SMALL | (FULL if is_full else {})
    wanted = [("bench_core", machine.parameters()) for machine in (*machines, RECORDED)]
    wanted += [("bench_units", {}), ("bench_semantic", {"LANES": 8, "TOKENS": 1024})]
    if is_full:
        wanted += [
            ("bench_core", PUBLISHED_WINDOW.parameters()),
            ("bench_semantic", {"LANES": 32, "TOKENS": 12800}),
        ]
    start = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda one: build(tools, *one), wanted))
    print(f"    simulators built or found ({time.monotonic() - start:.0f} s)", flush=True)
    report.run("arithmetic against numpy", lambda: check_units(tools, SEED, 100_000 if is_full else 20_000))
    for machine, count in machines.items():
        cases = random_cases(machine, count)
        cases += plain_cases(cases) + edge_cases(machine)
        words = f"{machine.rows} x {machine.columns} {'FP16' if machine.is_float else 'INT8'}"
        words += ", weights behind the wavefront" if machine.is_wavefront else ""
        report.run(
            f"RTL against recurrences and numpy, {words}", lambda cases=cases: check_cases(tools, cases)
        )
        report.run(f"engine against the same recurrences, {words}", lambda cases=cases: engine_tally(cases))
    random = np.random.default_rng(SEED)
    semantic = [random_semantic_case(random, f"random importance {number}", 300) for number in range(200)]
    semantic += recorded.semantic_cases("shapes_image")
    report.run(
        "semantic concentrator", lambda: check_semantic(tools, semantic, 8, 1024, with_kernels=HAS_TORCH)
    )
    tiles = recorded.load_tiles("shapes_image")[0]
    # Stored maps are of 32 elements; others are computed, so they need torch.
    for machine in (RECORDED, RECORDED_FULL) if HAS_TORCH else (RECORDED_FULL,):
        report.run(
            f"recorded tiles: matcher against the kernel of Focus, {machine.columns} elements",
            lambda machine=machine: kernel_tally(tiles, machine),
        )
    report.run("recorded tiles: RTL, 8 x 8", lambda: check_cases(tools, tile_cases(tiles, RECORDED)))
    if is_full:
        tiles = tiles + recorded.load_tiles("shapes_video")[0]
        cases = tile_cases(tiles, RECORDED_FULL)
        report.run(
            "all recorded tiles: matcher against the kernel of Focus, 32 elements",
            lambda: kernel_tally(tiles, RECORDED_FULL),
        )
        report.run("recorded tiles: RTL, 32 x 32", lambda: check_cases(tools, cases))
        report.run("recorded tiles: engine against recurrences, 32 x 32", lambda: engine_tally(cases))
        semantic = [random_semantic_case(random, f"long importance {number}", 12736) for number in range(4)]
        semantic += recorded.semantic_cases("shapes_video")
        report.run(
            "semantic concentrator, 32 lanes",
            lambda: check_semantic(tools, semantic, 32, 12800, with_kernels=HAS_TORCH),
        )
        report.run(
            "window of 32 a bank (the published 16 KB)",
            lambda: check_cases(tools, window_cases(PUBLISHED_WINDOW, 60)),
        )
        report.run(
            "ports: RTL, 32 x 32, tiles of 1,024 rows",
            lambda: check_cases(tools, port_cases(RECORDED_FULL)),
        )
        print("\n".join(port_lines(RECORDED_FULL) + window_lines()))
    return report


def main(words: list[str] | None = None) -> int:
    """Run the check with the words of the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], allow_abbrev=False)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--full",
        action="store_true",
        help="also 32 x 32 with 1,024 rows, all recorded tiles, other builds; a few minutes",
    )
    choice.add_argument(
        "--faults",
        action="store_true",
        help="put faults into RTL and engine, one at a time, and see that each is noticed",
    )
    choice.add_argument(
        "--gates",
        action="store_true",
        help="synthesise with yosys and count the gates of the units; two minutes",
    )
    options = parser.parse_args(words)
    try:
        if options.gates:
            from sim.gates import gates

            return gates()
        tools = find_tools()
        print(
            f"    {describe(tools)}; kernels of Focus: {'computed' if HAS_TORCH else 'stored (torch is not installed)'}"
        )
        self_test(tools)
        if options.faults:
            from sim.faults import try_faults

            return try_faults(tools)
        report = check(tools, is_full=options.full)
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    total = report.total
    print(
        f"{total.cases:,} cases, {total.events:,} events, {total.outputs + total.means:,} numbers, "
        f"{total.indices:,} map entries: "
        f"{'all equal' if not report.differences else f'{len(report.differences)} differences'}"
    )
    return 1 if report.differences else 0


if __name__ == "__main__":
    sys.exit(main())
