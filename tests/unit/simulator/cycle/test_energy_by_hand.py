"""Does the energy of a run follow by hand from what it does on an array of 2 x 2?

Dense, four tokens in one tile, one block: hidden 4, intermediate 8, two heads of 2 that share a key head. A fold loads
its weights in 2 cycles, streams 4 rows and drains in h + w - 3 = 1. Memory takes no time, so that cycles are folds.
"""

from __future__ import annotations

from typing import Any

import pytest

from focal_simulator.accelerators.base import Accelerator
from focal_simulator.accelerators.corrections import ALL
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.costs.buffer_costs import BufferCost
from focal_simulator.engine.cycle.energy import core_energy, dram_energy, sram_energy
from focal_simulator.engine.cycle.simulate import CycleResult, lowered, simulate_lowering
from focal_simulator.engine.cycle.totals import Totals
from focal_simulator.jobs.context import CycleContext, MemoryRates
from hand_workload import TWO_BY_TWO, WHOLE_TILES, plain_workload

TOKENS, WIDTH, BYTES = 4, 2, 2
LINEAR_FOLDS = 4 + 2 + 2 + 4 + 8 + 8 + 8  # q, k, v, o, gate, up, down: (K / 2) x (N / 2)
ATTENTION_FOLDS = 2 * (2 + 2)  # two heads: one slice x two columns of keys, two slices of scores x one column
FOLDS = LINEAR_FOLDS + ATTENTION_FOLDS
CYCLES = FOLDS * (2 + TOKENS + 1)
SECONDS = CYCLES / 1e9
RATES = MemoryRates(0, 0, read_pj_per_byte=30.0, write_pj_per_byte=50.0, background_mw=7.0)
MJ_PER_PJ = 1e-9


def dense() -> Accelerator[Any]:
    figures = [
        "timing.synthesised_clock=1.0e9",
        "timing.critical_path=1",
        "clock=1.0e9",
        "leakage_fraction=0.25",
        "components.systolic_array.power=25600.0",
    ]
    figures += ["components.fp16_exp.power=2.0", "components.fp16_exp.count=3"]
    return build_accelerator("dense", overrides=[*TWO_BY_TWO, *figures])


def run(corrections: frozenset[str] = WHOLE_TILES) -> CycleResult:
    accelerator, context = dense(), CycleContext(RATES, corrections)
    lowering = lowered(accelerator, plain_workload(TOKENS), context)
    return simulate_lowering(accelerator, lowering, context, "compiler")


def energy(result: CycleResult, group: str) -> dict[str, float]:
    return {item.name: item.energy_mj for item in result.breakdown if item.group == group}


def test_cycles_are_folds_times_load_stream_and_drain() -> None:
    found = {name: cycles for name, cycles in run().causes.items() if cycles}
    assert found == {"weight": 2 * FOLDS, "stream": TOKENS * FOLDS, "fill_drain": FOLDS}
    assert run().seconds == pytest.approx(SECONDS)


def test_bytes_of_the_run() -> None:
    streamed = FOLDS * TOKENS
    inputs = TOKENS * (4 + 4 + 4 + 4 + 2 * 4 + 2 * 4 + 8)  # gate and up fetch theirs for both n-tiles of 4
    inputs += 2 * TOKENS * (2 + 4)  # queries and scores, two heads
    weights = 16 + 8 + 8 + 16 + 32 + 32 + 32 + 2 * (8 + 8)
    outputs = TOKENS * (4 + 2 + 2 + 4 + 8 + 8 + 4) + 2 * TOKENS * (4 + 2)
    assert run().moved_bytes == {
        ("sram", "read", "input"): BYTES * WIDTH * streamed,
        ("sram", "write", "input"): BYTES * inputs,
        ("dram", "read", "input"): BYTES * inputs,
        ("sram", "read", "wgt"): BYTES * 4 * FOLDS,
        ("sram", "write", "wgt"): BYTES * weights,
        ("dram", "read", "wgt"): BYTES * weights,
        ("sram", "write", "output"): BYTES * WIDTH * streamed,
        ("sram", "read", "output"): BYTES * WIDTH * streamed + BYTES * outputs,
        ("dram", "write", "output"): BYTES * outputs,
    }


def test_a_unit_draws_its_power_while_it_works_and_leaks_all_the_time() -> None:
    core = energy(run(), "core")
    # Stated for 32 x 32, it is 100 mW at 2 x 2. A quarter leaks; the array works four of seven cycles.
    assert core["Systolic Array"] == pytest.approx(100.0 * SECONDS * (0.25 + 0.75 * 4 / 7))
    assert core["FP16 Exp (SFU)"] == pytest.approx(3 * 2.0 * SECONDS * 0.25)  # idle: leakage alone
    assert core["FP16 Exp (SFU)"] > 0


def test_a_buffer_pays_reads_and_writes_by_their_own_price_and_leaks() -> None:
    result = run()
    sram = energy(result, "sram")
    # 1024x128 macros (sram_macros.yaml): 9.3 uA/MHz read, 10.1 written, 251 uA leakage, 0.81 V, 16 bytes a word; eight.
    read, written = (result.moved_bytes["sram", way, "input"] for way in ("read", "write"))
    dynamic = (read * 9.3 * 0.81 / 16 + written * 10.1 * 0.81 / 16) * MJ_PER_PJ
    assert sram["input"] == pytest.approx(dynamic + 8 * 251 * 0.81 / 1000 * SECONDS)
    assert set(sram) == {"input", "wgt", "output"}


def test_dram_pays_reads_writes_and_background() -> None:
    result = run()
    read = sum(result.moved_bytes["dram", "read", name] for name in ("input", "wgt"))
    assert energy(result, "dram") == pytest.approx(
        {
            "read": read * 30.0 * MJ_PER_PJ,
            "write": result.moved_bytes["dram", "write", "output"] * 50.0 * MJ_PER_PJ,
            "standby and refresh": 7.0 * SECONDS,
        }
    )


def test_the_parts_are_the_whole() -> None:
    result = run()
    assert result.core_mj == pytest.approx(sum(energy(result, "core").values()))
    assert result.sram_mj == pytest.approx(sum(energy(result, "sram").values()))
    assert result.dram_mj == pytest.approx(sum(energy(result, "dram").values()))
    assert result.total_mj == pytest.approx(result.core_mj + result.sram_mj + result.dram_mj)
    assert result.macs == TOKENS * (16 + 8 + 8 + 16 + 32 + 32 + 32) + 2 * TOKENS * TOKENS * 2


def test_without_corrections_everything_draws_full_power_and_a_byte_costs_the_same() -> None:
    result = run(frozenset({"causal_tiles", "attention_traffic", "tile_lengths", "dense_buffers"}))
    accelerator = dense()
    power = sum(part.power.value * part.count.value for part in accelerator.components())
    assert energy(result, "core") == pytest.approx({"all units": power * result.seconds})
    assert energy(result, "dram") == pytest.approx({"all bytes": result.dram_bytes * 99.98 * MJ_PER_PJ})


# --- the three sums alone, with round numbers -------------------------------------------------------------


def test_several_units_share_work_and_none_is_busy_for_longer_than_the_run() -> None:
    accelerator, context = dense(), CycleContext(RATES, ALL)
    parts = accelerator.components()[:2]
    busy = {"array": 40, "sfu": 500}
    array, exp = core_energy(accelerator, context, busy, 100, parts)
    assert (array.actions, exp.actions) == (40, 100)
    assert array.energy_mj == pytest.approx(100.0 * 100e-9 * (0.25 + 0.75 * 0.4))
    assert exp.energy_mj == pytest.approx(6.0 * 100e-9)
    nothing, _ = core_energy(accelerator, context, busy, 0, parts)
    assert nothing.energy_mj == 0


def test_bytes_of_a_buffer_that_nothing_touched_cost_its_leakage() -> None:
    costs = (BufferCost("one", 8, 0.0, 3.0, 2.0, 5.0), BufferCost("two", 8, 0.0, 4.0, 2.0, 5.0))
    one, two = sram_energy(costs, {("sram", "read", "one"): 10, ("sram", "write", "one"): 100}, 2.0)
    assert one.energy_mj == pytest.approx((10 * 2.0 + 100 * 5.0) * MJ_PER_PJ + 3.0 * 2.0)
    assert (one.actions, two.actions, two.energy_mj) == (110, 0, 8.0)


def test_dram_bytes_of_all_buffers_are_priced_by_their_direction() -> None:
    moved = {
        ("dram", "read", "input"): 10,
        ("dram", "read", "similarity_map"): 5,
        ("dram", "write", "output"): 3,
        ("sram", "read", "input"): 1000,
    }
    totals = Totals((), {}, moved, 0, 0, 0, 1.0)
    found = dram_energy(dense(), CycleContext(RATES, ALL), totals, 2.0)
    assert [(item.name, item.actions) for item in found] == [
        ("read", 15),
        ("write", 3),
        ("standby and refresh", 0),
    ]
    assert [item.energy_mj for item in found] == pytest.approx([450e-9, 150e-9, 14.0])
