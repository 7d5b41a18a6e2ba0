"""Does any result depend on how an interpreter adds reals?

Builtin ``sum`` of floats rounds after each addition up to Python 3.11 and is compensated from 3.12 on: the last digit
of a CSV would differ. Here it is watched while commands run, so that a new one on a float is noticed on any version.
"""

from __future__ import annotations

import builtins
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from focal.commands.sim import main as sim
from focal.commands.sweep import main as sweep
from focal_evaluation.claims.results import open_results
from focal_evaluation.results.published_runs import run_parts
from focal_simulator.gpu.report import GpuRequest, gpu_rows
from focal_simulator.workload.arithmetic import exact_sum, sequential_sum
from simulator_support import PUBLISHED_ROOT

CHOSEN = ("--trace", str(PUBLISHED_ROOT), "--model", "llava_vid", "--dataset", "mvbench")


@pytest.fixture
def float_sums(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Places in Focal that give builtin `sum` a float, as file:line."""
    found: set[str] = set()
    builtin = builtins.sum

    def watched(values: Iterable[Any], /, start: Any = 0) -> Any:
        caller = sys._getframe(1)
        kept = list(values)
        is_ours = str(caller.f_globals.get("__name__")).startswith("focal_")
        if is_ours and any(isinstance(value, float) for value in (start, *kept)):
            found.add(f"{Path(caller.f_code.co_filename).name}:{caller.f_lineno}")
        return builtin(kept, start)

    monkeypatch.setattr(builtins, "sum", watched)
    return found


@pytest.mark.parametrize(
    "words",
    [
        ("--fidelity", "parity"),
        ("--fidelity", "parity", "--sram", "cacti", "--set", "clock=4e8"),
        ("--fidelity", "parity_layer", "--accelerator", "focus"),
        ("--model-shape", "llava_video_7b", "--generate", "2"),
        ("--precision", "int8"),
        ("--corrections", "none"),
    ],
    ids=" ".join,
)
def test_no_simulation_sums_reals_with_the_builtin(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, float_sums: set[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["run.py", *CHOSEN, "--output", str(tmp_path), *words])
    assert sim() == 0
    assert not float_sums


def test_no_roofline_or_claim_does_either(tmp_path: Path, float_sums: set[str]) -> None:
    assert gpu_rows(GpuRequest(models=("llava_video_7b",), generated_tokens=2))[0]
    run_parts(PUBLISHED_ROOT, tmp_path, "parity", ("int8", "main", "tiles"))
    assert len(open_results(tmp_path, PUBLISHED_ROOT, "parity").numbers) > 500
    assert not float_sums


def test_no_study_does_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, float_sums: set[str]) -> None:
    words = ("dse_d_scatter", "--trace", str(PUBLISHED_ROOT), "--output", str(tmp_path / "study"))
    monkeypatch.setattr(sys, "argv", ["focal sweep", *words])
    assert sweep() == 0
    assert not float_sums


def test_the_watch_notices_a_float(float_sums: set[str]) -> None:
    exec("sum([1, 2]); sum([0.1, 0.2])", {"__name__": "focal_example"})
    assert len(float_sums) == 1


def test_sums_are_rounded_once_or_in_order_and_integers_stay_exact() -> None:
    reals = [1e16, 1.0, -1e16, 0.1]
    assert exact_sum(reals) == math.fsum(reals) == 1.1
    # One by one, as the published results were summed: the 1 is lost.
    assert sequential_sum(np.array(reals)) == 0.1
    for total in (exact_sum([2**60, 1]), sequential_sum(np.array([2**60, 1]))):
        assert isinstance(total, int)
        assert total == 2**60 + 1
    assert isinstance(exact_sum([]), int)
