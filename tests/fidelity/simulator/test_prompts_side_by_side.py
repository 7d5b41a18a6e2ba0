"""Do several prompts cost what theory says: a prefill as many times as one, a decode step one fetch of its weights?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import focal
from focal_common.errors import ConfigError, UnsupportedError
from focal_simulator.accelerators import ACCELERATORS
from focal_simulator.accelerators.corrections import ALL
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.engine.cycle.inference import simulate_inference
from focal_simulator.engine.cycle.simulate import simulate_cycles
from focal_simulator.whole_model.presets import shape_preset
from simulator_support import PUBLISHED_ROOT, small_workload

NAMES = list(ACCELERATORS)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "corrections", [ALL, ALL - {"attention_traffic"}, frozenset()], ids=["all", "but one", "none"]
)
def test_three_prompts_take_three_times_one_prefill(name: str, corrections: frozenset[str]) -> None:
    accelerator, one = build_accelerator(name), small_workload(900)
    first = simulate_cycles(accelerator, one, corrections=corrections)
    third = simulate_cycles(accelerator, replace(one, batch=3), corrections=corrections)
    if "causal_tiles" in corrections:
        assert third.causes == {cause: 3 * cycles for cause, cycles in first.causes.items()}
    else:
        # Half of an odd number of copies of attention is rounded down.
        assert third.total_cycles == pytest.approx(3 * first.total_cycles, rel=1e-6)
    assert third.macs == 3 * first.macs
    assert third.compression_ratio == first.compression_ratio
    assert third.dram_bytes == pytest.approx(3 * first.dram_bytes, rel=1e-6)
    assert third.total_mj == pytest.approx(3 * first.total_mj, rel=1e-6)


def test_prompts_are_dealt_out_to_arrays() -> None:
    """Four prompts on four arrays with endless bandwidth take the time of one on one: nothing is shared."""
    dense = build_accelerator("dense", overrides=["arrays=4"])
    corrections = ALL - {"dram_stalls"}
    four = simulate_cycles(dense, replace(small_workload(900), batch=4), corrections=corrections)
    one = simulate_cycles(build_accelerator("dense"), small_workload(900), corrections=corrections)
    assert four.total_cycles <= one.total_cycles


def test_a_decode_step_fetches_weights_once_for_all_prompts() -> None:
    """Bytes grow by keys, values and activations alone; multiplications with the batch."""
    results = focal.simulate(PUBLISHED_ROOT, "dense", models=["llava_vid"], datasets=["mvbench"])
    workload = results.runs[0].workload
    preset = shape_preset("llava_video_7b")
    shape = preset.with_prompt(
        frames=workload.frames,
        visual_tokens=workload.visual_tokens,
        text_tokens_before=14,
        text_tokens_after=20,
    )
    dense = build_accelerator("dense")
    one, eight = (
        simulate_inference(dense, replace(workload, batch=batch), shape, generated_tokens=4)
        for batch in (1, 8)
    )
    for phase in one:
        assert eight[phase].macs == pytest.approx(8 * one[phase].macs, rel=1e-9)
    assert one["decode"].dram_bytes < eight["decode"].dram_bytes < 2 * one["decode"].dram_bytes
    assert eight["decode"].total_cycles < 2 * one["decode"].total_cycles
    assert eight["prefill"].total_cycles == 8 * one["prefill"].total_cycles


def test_batches_that_cannot_be_are_refused(tmp_path: Path) -> None:
    for batch in (0, -1, 1 << 17):
        with pytest.raises(ConfigError, match=f"batch is {batch}, expected 1 to 65536"):
            focal.simulate(PUBLISHED_ROOT, "dense", models="llava_vid", datasets="mvbench", batch=batch)
    with pytest.raises(
        UnsupportedError, match="batch is 2, and the published formulas of fidelity parity know one"
    ):
        focal.simulate(
            PUBLISHED_ROOT, "dense", models="llava_vid", datasets="mvbench", batch=2, fidelity="parity"
        )
    with pytest.raises(ConfigError, match=r"its batch is an argument of focal\.gemms"):
        focal.simulate([(8, 8, 8)], "dense", batch=2)
