"""Does theory hold on 10,000 random GEMMs on random designs: roofline, endless bandwidth, monotony?

Every check runs whole designs, from hardware to cycles. Ports are to be added to `MORE_NEVER_COSTS` where a field of
them exists: more of them never costs cycles.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.engine.cycle.simulate import CycleResult, simulate_cycles
from focal_simulator.results.work import given_workload

DESIGNS, GEMMS = 200, 50
PLAIN = """\
accelerator: mine
base: systolic_array
timing: {{allow_beyond: true}}
dram:
  bandwidth: {{value: {0!r}, unit: B/s, source: a test}}
  energy: {{value: 4, unit: pJ/bit, source: a test}}
  background: {{value: 0, unit: mW, source: a test}}
"""

MORE_NEVER_COSTS = {
    "dram.bandwidth": (5e9, 2e10, 8e10, 1e15),
    "arrays": (1, 2, 4, 8, 16, 32, 64),
    "dataflow.is_weight_double_buffered": ("false", "true"),
}
"""Values in ascending order by field, beside buffers (tiles), which have a test of their own."""


def design(choose: random.Random, tmp_path: Any, **fixed: Any) -> Any:
    """A random plain array with a random memory; ``fixed`` fields by dotted name with ``__`` for a dot."""
    columns = choose.choice([4, 8, 16, 32, 64])
    fields = {
        "core.array_rows": choose.choice([4, 8, 16, 32, 64]),
        "core.array_columns": columns,
        "tiles.m_tile": choose.choice([32, 128, 512, 1024]),
        "tiles.n_tile": columns * choose.choice([1, 2, 4, 8]),
        "arrays": choose.choice([1, 1, 2, 3, 8, 64]),
        "dataflow.is_weight_double_buffered": choose.choice(["true", "false"]),
        "dram.bandwidth": 10 ** choose.uniform(9, 12),
    } | fixed
    bandwidth = fields.pop("dram.bandwidth")
    path = tmp_path / "mine.yaml"
    path.write_text(PLAIN.format(float(bandwidth)), encoding="utf-8")
    return build_accelerator(str(path), overrides=[f"{name}={value}" for name, value in fields.items()])


def gemms(choose: random.Random, number: int) -> list[tuple[int, int, int]]:
    return [tuple(max(1, int(2 ** choose.uniform(0, 11))) for _ in range(3)) for _ in range(number)]  # type: ignore[misc]


def run(accelerator: Any, work: list[tuple[int, int, int]]) -> CycleResult:
    return simulate_cycles(accelerator, given_workload(work), "cacti")


@pytest.mark.parametrize("seed", range(8))
def test_no_gemm_on_any_design_beats_the_roofline(seed: int, tmp_path: Any) -> None:
    """Cycles are at least MACs over all multipliers, and at least bytes over the bandwidth, GEMM by GEMM."""
    choose = random.Random(seed)
    for _ in range(DESIGNS // 8):
        mine, work = design(choose, tmp_path), gemms(choose, GEMMS)
        hardware = mine.hardware
        multipliers = (
            hardware.core.array_rows.value * hardware.core.array_columns.value * hardware.arrays.value
        )
        cycles_per_byte = hardware.clock.value / hardware.dram.bandwidth.value
        for (m, n, k), time in zip(work, run(mine, work).times, strict=True):
            assert time.total_cycles * multipliers >= m * n * k
            moved = sum(value for (level, _, _), value in time.job.traffic.items() if level == "dram")
            # The rate is kept as a whole number over 2^20, rounded.
            assert time.total_cycles >= moved * (cycles_per_byte - 2**-20) - 1
            # Weights, inputs and outputs cross the channel at least once.
            assert moved >= (m * k + k * n + m * n) * hardware.precision.bits("activations") // 8


@pytest.mark.parametrize("seed", range(4))
def test_endless_bandwidth_never_stalls_and_is_the_closed_form(seed: int, tmp_path: Any) -> None:
    """One array without double buffers takes folds x (rows + height + skew), and no cycle is the memory's."""
    choose = random.Random(100 + seed)
    for _ in range(10):
        mine = design(choose, tmp_path, arrays=1, **{"dataflow.is_weight_double_buffered": "false"})
        work = gemms(choose, 10)
        corrections = frozenset({"tile_lengths"})
        found = simulate_cycles(mine, given_workload(work), "cacti", corrections)
        high, wide = mine.hardware.core.array_rows.value, mine.hardware.core.array_columns.value
        tile = mine.hardware.tiles.m_tile.value
        assert found.causes["dram_read"] == found.causes["dram_write"] == 0
        for (m, n, k), time in zip(work, found.times, strict=True):
            rows = [min(tile, m - start) for start in range(0, m, tile)]
            folds = -(-k // high) * -(-n // wide)
            assert time.total_cycles == sum(folds * (row + 2 * high + wide - 3) for row in rows)
        fast = design(choose, tmp_path, **{"dram.bandwidth": 1e15})
        result = run(fast, work)
        # A petabyte a second still takes the first cycle of each transfer.
        assert result.causes["dram_read"] + result.causes["dram_write"] <= 3 * sum(
            int(time.job.shape.folds) + 2 for time in result.times
        )


@pytest.mark.parametrize("field", MORE_NEVER_COSTS)
def test_more_never_costs_cycles(field: str, tmp_path: Any) -> None:
    choose = random.Random(field)
    for _ in range(25):
        work, state = gemms(choose, 8), choose.getstate()
        taken = []
        for value in MORE_NEVER_COSTS[field]:
            choose.setstate(state)
            taken.append(run(design(choose, tmp_path, **{field: value}), work).total_cycles)
        assert taken == sorted(taken, reverse=True), (field, taken)


def test_bigger_buffers_never_move_more_bytes(tmp_path: Any) -> None:
    """Larger m-tiles fetch weights less often, larger n-tiles inputs."""
    choose = random.Random(7)
    for name, values in (("tiles.m_tile", (64, 128, 256, 512)), ("tiles.n_tile", (64, 128, 256, 512))):
        for _ in range(10):
            work, state = gemms(choose, 8), choose.getstate()
            moved = []
            for value in values:
                choose.setstate(state)
                fixed = {"arrays": 1, "core.array_columns": 16, name: value}
                moved.append(run(design(choose, tmp_path, **fixed), work).dram_bytes)
            assert moved == sorted(moved, reverse=True), (name, moved)
