"""What `rtl/check.py --full` measures beside what it compares: ports of the buffers, and the window of the layouter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sim.cases import Case, Grid, Machine, elements, random_case
from sim.expected import partners_of
from sim.latencies import Latencies
from sim.maxplus import times_of

SEED = 20261130
PORTS = ((0, False), (1, False), (0, True), (1, True))
"""Read ports of the concentrate half (0: as many as lanes), and whether an output half has one port."""


def port_cases(machine: Machine) -> list[Case]:
    """Return a full tile and two lanes, with each of `PORTS`; new vectors are more frequent in the first 182 rows."""
    random = np.random.default_rng(SEED)
    rows = machine.tile_rows
    is_new = random.random(rows) < np.where(np.arange(rows) < 182, 0.8, 0.4)
    is_new[0] = True
    numbers = np.cumsum(is_new) - 1
    index = np.where(is_new, numbers, (random.random(rows) * (numbers + 1)).astype(np.int64))
    slices = 3
    vectors = [elements(random, (int(index.max()) + 1, machine.rows), machine) for _ in range(slices)]
    weights = elements(random, (slices, 1, machine.rows, machine.columns), machine)
    return [
        Case(
            machine=machine,
            rows=[rows],
            maps=[[index] * slices],
            vectors=[vectors],
            weights=weights,
            columns_per_buffer=1,
            outputs=machine.columns,
            read_ports=read_ports,
            is_single_ported=is_single_ported,
            output_rows=[rows],
            name=f"{read_ports or 'two'} read port{'s' * (not read_ports)} of the concentrate half, an output half "
            + ("reads, then writes" if is_single_ported else "reads and writes in a cycle"),
        )
        for read_ports, is_single_ported in PORTS
    ]


def rows_a_cycle(case: Case, latencies: Latencies) -> float:
    """Return at what rate the last fold is restored, from when its first row could be."""
    times = times_of(case, latencies)
    begun = max(times["scattered"][-2], times["stream_start"][-1] + latencies.first_output_cycles)
    return case.rows[0] / (times["scattered"][-1] - begun)


def port_lines(machine: Machine) -> list[str]:
    """Return the rate of each of `PORTS` in the RTL and in the engine."""
    return [
        f"    {case.name}: {rows_a_cycle(case, Latencies.of_rtl(machine)):.3f} rows a cycle, "
        f"{rows_a_cycle(case, Latencies.of_engine(machine)):.3f} in the engine"
        for case in port_cases(machine)
    ]


def window_cases(machine: Machine, count: int) -> list[Case]:
    """Return cases on frames of 14 x 14 tokens, as LLaVA-OneVision has them, with all tokens or with part."""
    random = np.random.default_rng(SEED + 1)
    cases = []
    for number in range(count):
        case = replace(
            random_case(random, machine, machine.tile_rows, f"14 x 14 case {number}"),
            has_gather=True,
            mean_cycles=1,
        )
        gaps = np.where(random.random(sum(case.rows)) < (1 if number % 2 else 0.5), 1, 2)
        cases.append(replace(case, grid=Grid(14, 14, 14, 196), positions=np.cumsum(gaps) - 1))
    return cases


def window_lines() -> list[str]:
    """Return what share of temporal and spatial candidates a layouter of some depth still holds."""
    random = np.random.default_rng(SEED)
    lines = []
    for grid, name in (
        (Grid(14, 14, 14, 196), "14 x 14"),
        (Grid(13, 14, 14, 182), "13 x 14"),
        (Grid(8, 8, 8, 64), "8 x 8"),
    ):
        for kept in (1.0, 0.4, 0.2, 0.1):
            positions = np.nonzero(random.random(16 * grid.frame_stride) < kept)[0]
            whole = int((partners_of(positions, grid, None)[0] >= 0).sum())
            shares = [
                f"{partners_of(positions, grid, depth)[1] / whole:.1%} of {depth}-deep" for depth in (32, 64)
            ]
            lines.append(
                f"    frames of {name}, {kept:.0%} of tokens kept: candidates overwritten: {', '.join(shares)} banks"
            )
    return lines
