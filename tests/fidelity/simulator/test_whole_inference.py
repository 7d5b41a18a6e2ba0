"""Does the whole inference hold the work that torch's FLOP counter finds, and no less on any accelerator?

`tests/fidelity/test_flop_coverage.py` shows that the listed operators equal the counter; here the timed jobs are held
to the listed operators.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

from focal.commands.sim import main
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.engine.cycle.inference import PHASES, simulate_inference
from focal_simulator.whole_model.listing import operators
from focal_simulator.whole_model.presets import shape_preset
from focal_simulator.workload.loading import load_workloads
from focal_simulator.workload.workload import Workload
from focal_traces.root.root import TraceRoot
from shape_support import work_by_phase
from simulator_support import PUBLISHED_ROOT

STEPS = 8


@pytest.fixture(scope="module")
def workload() -> Workload:
    return load_workloads(TraceRoot.open(PUBLISHED_ROOT), ["llava_vid"], ["videomme"])[0]


def test_timed_work_covers_the_model(workload: Workload) -> None:
    shape = shape_preset("llava_video_7b")
    listed = {work.phase: work for work in work_by_phase(operators(shape, generated_tokens=STEPS))}
    timed = simulate_inference(build_accelerator("dense"), workload, shape, STEPS)
    assert tuple(timed) == PHASES
    macs = {phase: 2 * result.macs for phase, result in timed.items()}
    prefill = macs.pop("prefill") + macs.pop("text")
    # A causal mask hides half of the square; listed operators count its diagonal, the published half does not.
    assert prefill == pytest.approx(listed["prefill"].causal_flops, rel=1e-3)
    for phase, flops in macs.items():
        assert flops == listed[phase].flops, phase
    whole = sum(work.causal_flops for work in listed.values())
    assert (prefill + sum(macs.values())) / whole > 0.99


@pytest.mark.parametrize("name", ["dense", "adaptiv", "cmc", "focus", "focus_sec_only"])
def test_every_phase_takes_at_least_its_work_and_its_weights(name: str, workload: Workload) -> None:
    accelerator = build_accelerator(name)
    timed = simulate_inference(accelerator, workload, shape_preset("llava_video_7b"), STEPS)
    for phase, result in timed.items():
        assert result.total_cycles >= result.macs / 1024, phase
        assert sum(result.causes.values()) == result.total_cycles
        assert result.total_mj > 0
    # Decode reads every weight of the decoder and the head in each step.
    weights = 2 * (28 * (3584 * (3584 * 2 + 512 * 2 + 18944 * 3)) + 3584 * 152064)
    assert timed["decode"].dram_bytes > STEPS * weights
    assert timed["decode"].seconds >= STEPS * weights / 68.3e9


def test_end_to_end_speed_up_is_below_that_of_the_prefill(workload: Workload) -> None:
    shape = shape_preset("llava_video_7b")
    dense, focus = (
        simulate_inference(build_accelerator(name), workload, shape) for name in ("dense", "focus")
    )
    whole = sum(result.seconds for result in dense.values()) / sum(
        result.seconds for result in focus.values()
    )
    prefill = dense["prefill"].seconds / focus["prefill"].seconds
    assert 1 < whole < prefill
    assert dense["vision"].total_cycles == focus["vision"].total_cycles


def test_the_command_writes_phases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["run.py", "--trace", str(PUBLISHED_ROOT), "--model", "llava_vid", "--dataset", "videomme"]
    words += ["--accelerator", "dense,focus", "--output", str(tmp_path), "--no-figure"]
    monkeypatch.setattr(sys, "argv", [*words, "--model-shape", "llava_video_7b", "--generate", "2"])
    assert main() == 0
    with (tmp_path / "phases.csv").open(encoding="utf-8") as source:
        rows = list(csv.DictReader(source))
    assert {(row["accelerator"], row["phase"]) for row in rows} == {
        (name, phase) for name in ("dense", "focus") for phase in PHASES
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--whole-model",), "name one (internvl3_8b, llava_1_5_7b"),
        (("--model-shape", "llava_vdeo_7b"), "did you mean 'llava_video_7b'"),
        (("--model-shape", "llava_1_5_7b"), "is of family llava, expected llava_video"),
        (("--model-shape", "qwen2_5_vl_7b"), "is of family qwen2_5_vl, expected llava_video"),
        (
            ("--model-shape", "llava_video_7b", "--fidelity", "parity"),
            "need fidelity cycle, got parity (--whole-model, --fidelity)",
        ),
    ],
)
def test_wrong_use_is_one_sentence(
    words: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    base = ["run.py", "--trace", str(PUBLISHED_ROOT), "--model", "llava_vid", "--accelerator", "dense"]
    monkeypatch.setattr(sys, "argv", [*base, "--output", str(tmp_path), "--no-figure", *words])
    assert main() == 2
    assert message in " ".join(capsys.readouterr().err.split())
