"""Does the special-function unit cost what a count element by element says?"""

from __future__ import annotations

import pytest

from focal_common.errors import ConfigError
from focal_simulator.hardware_files import build_accelerator
from focal_simulator.whole_model import operators
from focal_simulator.whole_model.special_function_unit import SpecialFunctionUnit, special_function_unit
from focal_simulator.whole_model.special_functions import vector_timing
from focal_simulator.whole_model.vectors import norm, softmax, vector
from shape_support import small_shape

ENOUGH = 1 << 40


@pytest.fixture(scope="module")
def unit() -> SpecialFunctionUnit:
    return special_function_unit(build_accelerator("focus").hardware)


@pytest.mark.parametrize("accelerator", ["dense", "focus", "focus_sec_only", "adaptiv", "cmc"])
def test_every_hardware_file_describes_a_unit(accelerator: str) -> None:
    built = special_function_unit(build_accelerator(accelerator).hardware)
    assert built.lanes["exp"].per_cycle.value == 192
    # 0.41 mW at 500 MHz.
    assert built.lanes["exp"].energy.value == pytest.approx(0.82)
    assert built.origin == "estimated"


def test_softmax_by_hand(unit: SpecialFunctionUnit) -> None:
    rows, keys = 50, 640
    timing = vector_timing(softmax("prefill", 0, rows, keys, 1), unit, ENOUGH)
    elements = rows * keys
    # Subtract, sum and compare share 192 adders: three operations per element.
    assert timing.cycles == -(-3 * elements // 192) + unit.latency_cycles
    assert timing.bound == "add"
    energy = elements * (2 * 0.04836875 + 0.04836875 + 0.82 + 0.7318) + rows * 0.2198
    assert timing.energy_pj == pytest.approx(energy)
    assert timing.operations == 5 * elements + rows


def test_a_masked_softmax_needs_the_lower_triangle_only(unit: SpecialFunctionUnit) -> None:
    one = softmax("prefill", 0, 40, 40, 2, is_causal=True)
    assert one.causal_elements == 2 * sum(row + 1 for row in range(40))
    assert (
        vector_timing(one, unit, ENOUGH, is_mask_skipped=True).operations
        < vector_timing(one, unit, ENOUGH).operations
    )


def test_scarce_reciprocals_bound_the_gate(unit: SpecialFunctionUnit) -> None:
    timing = vector_timing(vector("prefill", 0, "activation", "silu", 10, 96), unit, ENOUGH)
    assert (timing.bound, timing.cycles) == ("reciprocal", 960 // 6 + unit.latency_cycles)


def test_memory_traffic_follows_what_fits(unit: SpecialFunctionUnit) -> None:
    one = norm("prefill", 0, "input_norm", "rmsnorm", 100, 64)
    whole, row = 2 * 100 * 64 * 2, 2 * 64 * 2
    sizes = (whole, whole - 1, row, row - 1)
    moved = [vector_timing(one, unit, size) for size in sizes]
    elements = 100 * 64 * 2
    assert [timing.dram_read_bytes for timing in moved] == [0, elements, elements, 2 * elements]
    assert [timing.dram_write_bytes for timing in moved] == [0, elements, elements, elements]
    streamed = vector_timing(one, unit, 1, is_streamed=True)
    assert (streamed.dram_read_bytes, streamed.dram_write_bytes) == (0, 0)
    assert len({timing.cycles for timing in (*moved, streamed)}) == 1


def test_every_vector_operator_of_a_model_can_be_timed(unit: SpecialFunctionUnit) -> None:
    for one in operators(small_shape(), generated_tokens=2):
        if one.kind == "vector":
            timing = vector_timing(one, unit, 1 << 20)
            assert timing.cycles >= one.steps
            assert timing.operations == one.vector_operations


def test_wrong_use_is_refused(unit: SpecialFunctionUnit) -> None:
    product = next(one for one in operators(small_shape()) if one.kind == "gemm")
    with pytest.raises(ConfigError, match="expected a vector operation, got kind 'gemm'"):
        vector_timing(product, unit, ENOUGH)
    with pytest.raises(ConfigError, match="at least 1"):
        vector_timing(vector("prefill", 0, "a", "add", 1, 1, operands=2), unit, 0)
    poor = unit.model_copy(update={"lanes": {"add": unit.lanes["add"]}})
    with pytest.raises(ConfigError, match="has no 'mul'"):
        vector_timing(vector("prefill", 0, "a", "silu", 1, 1), poor, ENOUGH)
