"""Does a list of GEMMs cost what a dense trace of the same GEMMs costs, and never less than theory allows?"""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import focal
from focal_common.errors import UnsupportedError
from focal_simulator.accelerators.base import Accelerator
from focal_simulator.accelerators.corrections import ALL
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.engine.cycle.simulate import CycleResult, simulate_cycles
from focal_simulator.engine.cycle.timing import JobTime
from focal_simulator.results.topology import write_topology
from focal_simulator.results.work import given_workload
from focal_simulator.whole_model.decoder import LayerTokens, prefill_operators
from focal_simulator.whole_model.given import Prompt
from focal_simulator.workload.workload import Workload
from simulator_support import PUBLISHED_ROOT, small_workload

PLAIN = ALL - {"special_functions"}
NAMES = ("dense", "focus", "focus_sec_only", "cmc", "adaptiv")


def prefill(tokens: int, batch: int = 1) -> Workload:
    """A prompt of text as a list of operators, on the decoder of `small_workload`."""
    geometry = small_workload().geometry
    none = [LayerTokens(0, 0, 0, 0, 0)] * geometry.layers
    return Workload.given("mine", tuple(prefill_operators(geometry, none, tokens, batch)))


def shared(time: JobTime) -> tuple[Any, ...]:
    job = time.job
    return (job.block, job.layer, job.part, job.macs, tuple(time.causes), tuple(sorted(job.traffic.items())))


@pytest.mark.parametrize("taken", [(), ("tile_lengths",), ("causal_tiles",), ("dram_stalls",)])
@pytest.mark.parametrize("tokens", [1, 33, 600, 2500])
def test_every_gemm_of_a_dense_trace_takes_the_same_cycles_and_bytes(
    tokens: int, taken: tuple[str, ...]
) -> None:
    trace = replace(small_workload(), visual_tokens=tokens, frames=1, patches=tokens, counts=None, tiles=None)
    dense = build_accelerator("dense")
    ours, theirs = (
        simulate_cycles(dense, one, corrections=PLAIN - {*taken}) for one in (prefill(tokens), trace)
    )
    assert sorted(map(shared, ours.times)) == sorted(map(shared, theirs.times))
    assert ours.activation_bytes == theirs.activation_bytes
    assert ours.total_mj == pytest.approx(theirs.total_mj, rel=1e-12)
    assert ours.causes == theirs.causes
    assert ours.moved_bytes == theirs.moved_bytes


def test_linear_layers_of_a_published_trace_as_a_csv(tmp_path: Path) -> None:
    results = focal.simulate(PUBLISHED_ROOT, "dense", models=["llava_vid"], datasets=["mvbench"])
    times = [time for time in results.runs[0].result.times if time.job.part == "gemm" and time.job.block == 9]
    tokens = results.runs[0].workload.visual_tokens
    lines = [
        f"{time.job.layer}, {tokens}, {time.job.outputs}, {time.job.macs // tokens // time.job.outputs},"
        for time in times
    ]
    path = tmp_path / "layers.csv"
    path.write_text("Layer, M, N, K,\n" + "\n".join(lines), encoding="utf-8")
    mine = focal.simulate(path, "dense", corrections="all,-special_functions").runs[0].result
    assert [tuple(time.causes[:7]) for time in mine.times] == [tuple(time.causes[:7]) for time in times]
    assert mine.macs == sum(time.job.macs for time in times)


@pytest.mark.parametrize("tokens", [200, 2500])
def test_a_topology_of_a_trace_takes_its_cycles_again(tmp_path: Path, tokens: int) -> None:
    trace = replace(small_workload(), visual_tokens=tokens, frames=1, patches=tokens, counts=None, tiles=None)
    dense, path = build_accelerator("dense"), tmp_path / "out.csv"
    # Second operands are of other GEMMs, and a triangle is no GEMM: a topology has neither.
    corrections = PLAIN - {"causal_triangle", "gate_product", "residual_stream"}
    first = simulate_cycles(dense, trace, corrections=corrections)
    write_topology(path, first.times)
    assert path.read_text(encoding="utf-8").startswith("Layer,M,N,K,\n0.q_proj,")
    again = simulate_cycles(dense, given_workload(path), corrections=corrections)
    assert (again.causes, again.moved_bytes) == (first.causes, first.moved_bytes)


@pytest.mark.parametrize(
    ("name", "taken"),
    [("focus", ()), ("dense", ()), ("dense", ("causal_tiles",)), ("dense", ("tile_lengths",))],
)
def test_what_is_no_whole_gemm_is_refused(tmp_path: Path, name: str, taken: tuple[str, ...]) -> None:
    result = simulate_cycles(build_accelerator(name), small_workload(2500), corrections=PLAIN - {*taken})
    with pytest.raises(
        UnsupportedError, match=r"is computed in part only.*with corrections all,-causal_triangle"
    ):
        write_topology(tmp_path / "out.csv", result.times)
    assert not list(tmp_path.iterdir())


def random_gemms(seed: int, number: int) -> list[tuple[int, int, int]]:
    choose = random.Random(seed)
    return [tuple(max(1, int(2 ** choose.uniform(0, 12))) for _ in range(3)) for _ in range(number)]  # type: ignore[misc]


def run(accelerator: Accelerator, gemms: list[tuple[int, int, int]]) -> CycleResult:
    return simulate_cycles(accelerator, given_workload(gemms))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [1, 4])
def test_no_gemm_beats_the_roofline(name: str, size: int) -> None:
    """Cycles are at least MACs over multipliers, and at least bytes over the rate of the memory, GEMM by GEMM."""
    overrides = [] if size == 1 else ["dram_system=lpddr3_1ch_shipped"]
    accelerator = build_accelerator(name, overrides=overrides)
    gemms = random_gemms(seed=size, number=400)
    result = run(accelerator, gemms)
    for time, (m, n, k) in zip(result.times, gemms, strict=True):
        machine, job = time.job.machine, time.job
        cycles = sum(time.causes)
        per_cycle = (
            machine.slice_elements * machine.array_columns * machine.row_lanes / machine.cycles_per_pass
        )
        assert job.macs == m * n * k
        assert cycles >= job.macs / per_cycle
        read = sum(
            value for (level, way, _), value in job.traffic.items() if (level, way) == ("dram", "read")
        )
        written = sum(
            value for (level, way, _), value in job.traffic.items() if (level, way) == ("dram", "write")
        )
        # Every operand is fetched once at least, and the result written once.
        assert read >= (m * k * machine.input_bits + k * n * machine.weight_bits) // 8
        assert written >= m * n * machine.output_bits // 8
        assert cycles >= read * machine.read_cycles_numerator // machine.cycles_denominator


@pytest.mark.parametrize("name", NAMES)
def test_more_bandwidth_is_never_slower_and_infinite_never_stalls(name: str) -> None:
    systems = ("lpddr3_1ch_shipped", "hbm2_1ch", "ddr4_4ch_1rank_interleaved", "hbm2_8ch_shipped")
    gemms = random_gemms(seed=7, number=200)
    each = [
        [
            sum(time.causes)
            for time in run(build_accelerator(name, overrides=[f"dram_system={one}"]), gemms).times
        ]
        for one in systems
    ]
    infinite = simulate_cycles(
        build_accelerator(name), given_workload(gemms), corrections=ALL - {"dram_stalls"}
    )
    each.append([sum(time.causes) for time in infinite.times])
    for slow, fast in pairwise(each):
        assert all(a >= b for a, b in zip(slow, fast, strict=True))
    assert infinite.causes["dram_read"] == infinite.causes["dram_write"] == 0


def test_a_gemm_that_fills_the_array_once_takes_load_stream_and_skew() -> None:
    (one,) = simulate_cycles(
        build_accelerator("dense"), given_workload([(100, 32, 32)]), corrections=ALL - {"dram_stalls"}
    ).times
    assert sum(one.causes) == 100 + 2 * 32 + 32 - 3 + 2  # the last output, two cycles after the last index


def test_a_batch_is_so_many_prompts_that_share_weights() -> None:
    dense = build_accelerator("dense")
    one, four = (simulate_cycles(dense, prefill(300, batch), corrections=PLAIN) for batch in (1, 4))
    assert four.macs == 4 * one.macs
    assert one.total_cycles < four.total_cycles <= 4 * one.total_cycles
    weights = ("dram", "read", "wgt")
    assert four.moved_bytes[weights] < 4 * one.moved_bytes[weights]
    listed = [given_workload([(64, 96, 32)], Prompt(batch=3)), given_workload([(192, 96, 32)])]
    assert len({simulate_cycles(dense, each).total_cycles for each in listed}) == 1
