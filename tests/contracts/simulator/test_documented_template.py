"""Is the accelerator that the documentation prints right, and refused in a sentence where it cannot be?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from focal_common.errors import ConfigError, UnsupportedError
from focal_simulator.accelerators.base import Accelerator
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.engine.cycle.simulate import simulate_cycles
from focal_simulator.results.runner import FIDELITIES, Settings, run_all
from focal_simulator.whole_model.special_functions import vector_lanes
from focal_traces.synthetic.schedule import Schedule
from page_support import blocks, register
from simulator_support import small_workload

SAME_ARRAY = (
    *("core.array_rows=16", "core.array_columns=16", "core.row_limit=256"),
    *("tiles.m_tile=256", "tiles.n_tile=64", "tiles.k_tile=16"),
)
"""The dense array with the size of the page's."""


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Accelerator:
    return build_accelerator(register(tmp_path, monkeypatch))


def test_the_template_is_short() -> None:
    assert len(blocks("python")[0].splitlines()) <= 40


def test_without_dropped_tokens_it_is_the_dense_array_of_its_size(small: Accelerator) -> None:
    whole = replace(small_workload(tokens=2048), counts=None).with_schedule_counts(Schedule())
    dense = build_accelerator("dense", overrides=list(SAME_ARRAY))
    # The page's array has no special-function unit.
    corrections = frozenset(
        {"tile_lengths", "causal_tiles", "attention_traffic", "dram_stalls", "dense_buffers"}
    )
    ours, theirs = (simulate_cycles(one, whole, "cacti", corrections=corrections) for one in (small, dense))
    assert ours.causes == theirs.causes
    assert ours.moved_bytes == theirs.moved_bytes
    assert ours.activation_bytes == theirs.activation_bytes


def test_dropped_tokens_save_cycles_and_bytes(small: Accelerator) -> None:
    workload = small_workload(tokens=2048)
    whole = replace(workload, counts=None).with_schedule_counts(Schedule())
    less, all_of_it = (simulate_cycles(small, one) for one in (workload, whole))
    assert less.total_cycles < all_of_it.total_cycles
    assert less.macs < less.dense_macs == all_of_it.macs
    assert less.dram_bytes < all_of_it.dram_bytes


def test_all_accelerators_run_beside_it_and_parity_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = register(tmp_path, monkeypatch)
    outcome = run_all(Settings(accelerators=("all",), fidelity="parity"), [small_workload()])
    (refusal,) = outcome.skipped
    assert refusal == (
        f"{name}: no published simulator of it is reproduced, so it has no formulas for fidelity parity; "
        "use fidelity cycle"
    )
    with pytest.raises(UnsupportedError, match="use fidelity cycle"):
        run_all(Settings(accelerators=(name,), fidelity="parity"), [small_workload()])
    with pytest.raises(UnsupportedError, match="use fidelity cycle"):
        FIDELITIES.load("parity")(Settings()).check_trace(build_accelerator(name), small_workload())


def test_a_buffer_under_another_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    renamed = blocks("yaml")[0].replace("  output:\n", "  outputs:\n")
    small = build_accelerator(register(tmp_path, monkeypatch, renamed))
    with pytest.raises(ConfigError, match=r"through buffer 'output', .* did you mean 'outputs'"):
        simulate_cycles(small, small_workload())


def test_buffers_without_macros_are_not_priced_by_macros(small: Accelerator) -> None:
    with pytest.raises(ConfigError, match="buffer 'input': lists no macros"):
        simulate_cycles(small, small_workload(), "compiler")


def test_a_special_function_without_component_is_named(
    small: Accelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(small.hardware), "special_functions", {"add": "multipliers"})
    with pytest.raises(ConfigError, match="names no component for 'mul'"):
        vector_lanes(small.hardware)
