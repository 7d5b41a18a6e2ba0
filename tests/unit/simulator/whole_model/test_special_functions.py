"""Does the special-function unit cost what a count element by element says?"""

from __future__ import annotations

import pytest

from focal_common.errors import ConfigError
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.whole_model import Operator, operators
from focal_simulator.whole_model.special_functions import VectorLanes, vector_cycles, vector_lanes
from focal_simulator.whole_model.vectors import attention, vector
from shape_support import small_shape


@pytest.fixture(scope="module")
def unit() -> VectorLanes:
    return vector_lanes(build_accelerator("focus").hardware)


def _softmax(rows: int, keys: int, count: int, is_causal: bool = False) -> Operator:
    _, softmax, _ = attention("prefill", 0, rows, keys, 8, count, is_causal=is_causal)
    return softmax


@pytest.mark.parametrize("accelerator", ["dense", "focus", "focus_sec_only", "adaptiv", "cmc"])
def test_every_hardware_file_describes_a_unit(accelerator: str) -> None:
    built = vector_lanes(build_accelerator(accelerator).hardware)
    assert (built.of("exp"), built.of("reciprocal"), built.port_elements) == (192, 6, 3 * 192)


def paced(operator: Operator, unit: VectorLanes) -> tuple[int, str]:
    found = vector_cycles(operator, unit)
    # What ``focal explain`` shows multiplies out.
    assert found.cycles == -(-found.count // found.lanes) + found.latency_cycles
    return found.cycles, found.bound


def test_softmax_by_hand(unit: VectorLanes) -> None:
    rows, keys = 50, 640
    operator = _softmax(rows, keys, 1)
    elements = rows * keys
    # Subtract, sum and compare share 192 adders: three operations per element.
    assert paced(operator, unit) == (-(-3 * elements // 192) + unit.latency_cycles, "add")
    assert sum(operator.elementary().values()) == 5 * elements + rows


def test_a_masked_softmax_needs_the_lower_triangle_only(unit: VectorLanes) -> None:
    operator = _softmax(400, 400, 2, is_causal=True)
    triangle = 2 * sum(row + 1 for row in range(400))
    assert operator.causal_elements == triangle
    masked = vector_cycles(operator, unit, is_mask_skipped=True).cycles
    assert masked == -(-3 * triangle // 192) + unit.latency_cycles < vector_cycles(operator, unit).cycles


def test_scarce_reciprocals_bound_the_gate(unit: VectorLanes) -> None:
    operator = vector("prefill", 0, "activation", "silu", 10, 96)
    assert paced(operator, unit) == (960 // 6 + unit.latency_cycles, "reciprocal")


def test_the_port_bounds_a_copy(unit: VectorLanes) -> None:
    operator = vector("prefill", 0, "residual", "add", 100, 576, operands=5, steps=2)
    # Five operands and a result of 100 x 576 elements, 576 a cycle.
    assert paced(operator, unit) == (2 * 6 * 100 + 2 * unit.latency_cycles, "port")


def test_every_vector_operator_of_a_model_can_be_timed(unit: VectorLanes) -> None:
    for operator in operators(small_shape(), generated_tokens=2):
        if operator.kind == "vector":
            assert vector_cycles(operator, unit).cycles >= operator.steps


def test_a_product_is_refused(unit: VectorLanes) -> None:
    product = next(operator for operator in operators(small_shape()) if operator.kind == "gemm")
    with pytest.raises(ConfigError, match="expected a vector operation, got kind 'gemm'"):
        vector_cycles(product, unit)
