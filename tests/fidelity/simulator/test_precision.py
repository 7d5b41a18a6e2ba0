"""Does an INT8 run move half the bytes in the same folds, and say that its energies are estimates?"""

from __future__ import annotations

import pytest

from focal_common.errors import ConfigError
from focal_simulator.engine.cycle.simulate import CycleResult
from focal_simulator.results.runner import Run, Settings, run_all
from simulator_support import small_workload


def run(precision: str, *overrides: str) -> Run:
    settings = Settings(accelerators=("focus",), precision=precision, overrides=overrides)
    return run_all(settings, [small_workload(tokens=2048)]).runs[0]


def test_bytes_halve_and_folds_stay() -> None:
    half, full = run("int8").result, run("fp16").result
    assert isinstance(half, CycleResult)
    assert isinstance(full, CycleResult)
    assert half.causes["stream"] == full.causes["stream"]
    for key, value in full.moved_bytes.items():
        # Similarity maps hold row numbers, which do not shrink.
        if key[0] == "dram" and key[2] != "similarity_map":
            assert 2 * half.moved_bytes[key] == value, key
    assert half.total_mj < full.total_mj


def test_the_array_is_scaled_by_published_arithmetic_and_set_has_the_last_word() -> None:
    parts = {name: run(name).accelerator.components()[0] for name in ("fp16", "int8")}
    assert [part.label for part in parts.values()] == ["Systolic Array"] * 2
    # Horowitz 2014: (0.2 + 0.1) / (1.1 + 0.9) pJ for arithmetic, 48 bits of 64 for 8 % of registers.
    ratio = 0.92 * 0.3 / 2.0 + 0.08 * 48 / 64
    assert parts["int8"].power.value == pytest.approx(ratio * parts["fp16"].power.value)
    assert run("int8", "precision=fp16").accelerator.hardware.precision.weights == "fp16"
    assert run("int8").row["hardware"] != run("fp16").row["hardware"]


def test_wrong_use_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r"'int4'.*int8"):
        run("int4")
    with pytest.raises(ConfigError, match="needs fidelity cycle"):
        run_all(Settings(fidelity="parity", precision="int8"), [small_workload()])
