"""Do area, power and energy follow array, clock and formats, and is what cannot be refused in one sentence?"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from focal.testing.workloads import small_workload
from focal_common.errors import ConfigError, FocalError, UnsupportedError
from focal_simulator.accelerators import ACCELERATORS
from focal_simulator.accelerators.base import Accelerator
from focal_simulator.accelerators.presets import build_accelerator, hardware_label, preset_hardware
from focal_simulator.costs.buffer_costs import buffer_costs
from focal_simulator.engine.cycle.simulate import CycleResult, simulate_cycles
from focal_simulator.hardware.specs import Component
from focal_simulator.results.runner import Settings, run_all
from focal_simulator.sweep.metrics import chip_metrics

SIZES = (8, 16, 32, 64, 128, 256)
HERTZ = 5e8
PUBLISHED_PJ = {
    # 7 nm: N. Jouppi et al., ISCA 2021, Table 2; 45 nm: M. Horowitz, ISSCC 2014. 28 nm lies between.
    "fp16": (0.34 + 0.16, 1.1 + 0.9),
    "int8": (0.07 + 0.03, 0.2 + 0.1),
}


def sized(size: int, *overrides: str) -> Accelerator[Any]:
    tiles = (f"tiles.n_tile={max(96, size)}", f"tiles.k_tile={max(32, size)}")
    array = (f"core.array_rows={size}", f"core.array_columns={size}")
    return build_accelerator("dense", overrides=[*array, *tiles, *overrides])


def array_of(accelerator: Accelerator[Any]) -> Component:
    return next(part for part in accelerator.components() if part.label == "Systolic Array")


def run(accelerator: Accelerator[Any]) -> CycleResult:
    return simulate_cycles(accelerator, small_workload(tokens=2048), "cacti")


@pytest.mark.parametrize("precision", PUBLISHED_PJ)
def test_energy_of_a_multiplication_is_a_published_one_at_every_size(precision: str) -> None:
    low, high = PUBLISHED_PJ[precision]
    arrays = [array_of(sized(size, f"precision={precision}")) for size in SIZES]
    for size, part in zip(SIZES, arrays, strict=True):
        assert low <= part.power.value / (size * size * HERTZ) * 1e9 <= high
    for small, large in pairwise(arrays):
        assert large.area.value == pytest.approx(4 * small.area.value)
        assert large.power.value == pytest.approx(4 * small.power.value)


def test_energy_of_a_run_per_multiplication_stays_in_range_with_idle_leakage() -> None:
    low, high = PUBLISHED_PJ["fp16"]
    for size in SIZES:
        result = run(sized(size))
        array = next(item for item in result.breakdown if item.name == "Systolic Array")
        assert low <= array.energy_mj * 1e9 / result.macs <= high


@pytest.mark.parametrize("name", ACCELERATORS)
def test_at_the_values_of_the_file_every_part_is_as_stated(name: str) -> None:
    accelerator = build_accelerator(name)
    stated = preset_hardware(type(accelerator)).components
    priced = {part.label: part for part in accelerator.components()}
    for part in stated.values():
        if part.label != "Shadow Registers":
            assert priced[part.label] is part
    assert "Shadow Registers" not in priced


def test_double_buffered_weights_have_their_registers() -> None:
    single, double = (
        chip_metrics(one.components(), buffer_costs(one, "cacti"), one.hardware.clock.value)["area_mm2"]
        for one in (sized(32), sized(32, "dataflow.is_weight_double_buffered=true"))
    )
    assert double - single == pytest.approx(1024 * 16 * 4e-6)
    four = sized(64, "dataflow.is_weight_double_buffered=true", "precision=int8").components()
    shadow = next(part for part in four if part.label == "Shadow Registers")
    assert shadow.area.value == pytest.approx(4096 * 8 * 4e-6)


def test_an_operation_costs_the_same_at_every_clock_and_leakage_falls_with_time() -> None:
    slow, fast = (run(sized(32, f"clock={hertz}", "dram_system=hbm2_8ch_shipped")) for hertz in (2.5e8, 5e8))
    for name in ("Systolic Array", "output"):
        before, after = (
            next(item.energy_mj for item in one.breakdown if item.name == name) for one in (slow, fast)
        )
        assert before > after
        # What both spend on work is what is left without leakage, which goes with seconds.
        work = [before, after]
        leakage = (work[0] - work[1]) / (slow.seconds - fast.seconds)
        rest = [energy - leakage * one.seconds for energy, one in zip(work, (slow, fast), strict=True)]
        assert rest[0] == pytest.approx(rest[1])
        assert rest[0] > 0
    power = [array_of(sized(32, f"clock={hertz}")).power.value for hertz in (2.5e8, 5e8)]
    assert power[0] == pytest.approx(power[1] * (0.1 + 0.9 / 2))


def test_int8_keeps_sums_of_four_bytes_and_cacti_prices_every_width() -> None:
    fp16, int8 = (run(sized(32, f"precision={one}")) for one in ("fp16", "int8"))
    for key, value in fp16.moved_bytes.items():
        level, way, buffer = key
        if (level, buffer) == ("sram", "output") and way == "write":
            assert int8.moved_bytes[key] == 2 * value
        elif level == "dram" or buffer != "output":
            assert 2 * int8.moved_bytes[key] == value, key
    for name in ACCELERATORS:
        assert all(
            cost.area_mm2 > 0
            for cost in buffer_costs(build_accelerator(name, None, ["precision=int8"]), "cacti")
        )


def test_a_component_of_its_own_brings_its_own_format() -> None:
    int4 = [f"precision.{one}=int4" for one in ("weights", "activations", "scores")]
    sums = ["precision.partial_sums=int32", "precision.accumulators=int32"]
    # One at a time every step would be a mixture.
    words = ["precision=int8", *int4, *sums]
    with pytest.raises(ConfigError, match="multiply int4, for which no energy and area were published"):
        build_accelerator("dense", None, words).components()
    own = "components.systolic_array.formats={weights: int4, activations: int4, accumulators: int32}"
    dense = build_accelerator("dense", None, [*words, own])
    assert array_of(dense) is dense.hardware.components["systolic_array"]
    assert run(dense).dram_bytes * 4 == pytest.approx(run(build_accelerator("dense")).dram_bytes, rel=1e-6)


WRONG = [
    (
        "dense",
        ["clock=4.0e9"],
        r"^dense.yaml: clock is 4e\+09 Hz, expected at most 7.5758e\+08.*critical_path",
    ),
    ("focus", ["tiles.k_tile=31"], r"^focus: tiles.k_tile is 31, expected at least core.array_rows \(32\)"),
    ("cmc", ["tiles.k_tile=16"], r"^cmc: tiles.k_tile is 16, expected at least core.array_rows \(32\)"),
    ("cmc", ["tiles.n_tile=769"], r"^cmc: tiles.n_tile is 769, expected at most tiles.m_tile \(768\)"),
    (
        "focus",
        ["core.gather_block=7"],
        r"core.gather_block is 7, expected at least 8, the candidates.*gather_lanes",
    ),
    ("focus", ["core.similarity_elements=16"], r"core.similarity_elements is 16, expected at least 32"),
    (
        "focus",
        ["buffers.layouter.copies=4"],
        r"buffers.layouter.copies is 4, expected at least 8: the candidates",
    ),
    (
        "focus",
        ["sram_node=0.065"],
        r"^focus: buffer 'output' takes 2.02 ns an access at sram_node 0.065.*2 ns",
    ),
    (
        "dense",
        ["precision.weights=int8"],
        r"accumulators is fp32, expected fp32 or fp16: it adds products of int8",
    ),
    (
        "dense",
        ["precision.partial_sums=fp8"],
        r"partial_sums is fp8, expected fp16, bf16 or fp32: sums of fp32",
    ),
    (
        "dense",
        ["precision=int8", "precision.partial_sums=fp16"],
        r"partial_sums is fp16, expected int32: sums of int32",
    ),
    ("dense", ["precision.scores=fp8"], r"scores is fp8, expected fp16 or wider"),
    (
        "dense",
        ["precision.weights=fp8"],
        r"multiply fp8 by fp16, for which no energy and area were published; expected",
    ),
    (
        "focus",
        ["precision.partial_sums=bf16"],
        r"precision.partial_sums is bf16, for whose addition.*'accumulator'",
    ),
    (
        "dense",
        ["core.array_rows=16777216", "tiles.k_tile=16777216"],
        r"^dense: buffer 'input' would hold \d+ bytes",
    ),
    (
        "focus",
        ["components.l2_norm.follows={core.lanes: 1}"],
        r"components.l2_norm.follows names 'core.lanes'",
    ),
    ("focus", ["components.l2_norm.area=.inf"], r"l2_norm.area.value.*finite number"),
    ("focus", ["components.l2_norm.area=1.0e+9"], r"l2_norm.area.value.*less than or equal to 1000000"),
]


@pytest.mark.parametrize(("name", "overrides", "sentence"), WRONG)
def test_what_does_not_fit_is_refused_in_one_sentence(name: str, overrides: list[str], sentence: str) -> None:
    with pytest.raises(FocalError, match=sentence) as refused:
        run(build_accelerator(name, None, overrides))
    assert isinstance(refused.value, ConfigError | UnsupportedError)
    assert "\n" not in str(refused.value)


def test_an_absent_component_is_named() -> None:
    focus = build_accelerator("focus")
    parts = {name: part for name, part in focus.hardware.components.items() if name != "max_unit_sec"}
    bare = type(focus)(focus.hardware.model_copy(update={"components": parts}))
    with pytest.raises(ConfigError, match="components has no 'max_unit_sec', expected the unit that sorts"):
        run(bare)


def test_a_clock_beyond_timing_is_remarked_in_every_table() -> None:
    settings = Settings(
        accelerators=("focus",), sram="cacti", overrides=("timing.allow_beyond=true", "clock=1.0e9")
    )
    found = run_all(settings, [small_workload(tokens=2048)])
    assert found.runs[0].row["hardware"].endswith(", beyond timing")
    late = next(one for one in found.remarks if "beyond timing" in one)
    assert late.startswith(
        "focus: beyond timing: a cycle of 1 ns is too short for the logic (1.32 ns), buffer 'output'"
    )
    legal = build_accelerator("focus", None, ["timing.allow_beyond=true"])
    assert "beyond" not in hardware_label(legal, buffer_costs(legal, "cacti"))
