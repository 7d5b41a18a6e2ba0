"""Do AdapTiV and CMC run the whole tokens that another method kept, and refuse single vectors?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from focal_common.errors import UnsupportedError
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.engine.cycle.simulate import simulate_cycles
from focal_simulator.workload.workload import Workload, totals_from_schedule
from focal_traces.header.schema import DecoderGeometry
from focal_traces.synthetic.schedule import Schedule
from simulator_support import jobs_of

GEOMETRY = DecoderGeometry(
    layers=2, hidden_elements=128, intermediate_elements=192, heads=4, kv_heads=2, head_dim_elements=32
)
TOKENS = 96
BOTH = pytest.mark.parametrize("name", ["adaptiv", "cmc"])


def workload(*alphas: float, method: str = "visionzip") -> Workload:
    schedule = Schedule(tuple(range(len(alphas))), alphas)
    counts = totals_from_schedule(GEOMETRY, TOKENS, schedule)
    return Workload("m", "d", TOKENS, 4, TOKENS // 4, geometry=GEOMETRY, counts=counts, method=method)


@BOTH
def test_macs_are_those_of_the_tokens(name: str) -> None:
    accelerator = build_accelerator(name)
    for chosen in (workload(), workload(0.5)):
        counts = chosen.counts
        assert counts is not None
        jobs = jobs_of(accelerator, chosen, frozenset({"tile_lengths"}))
        found = {(job.block, job.layer): job.macs for job in jobs if job.part == "gemm"}
        for block in range(GEOMETRY.layers):
            assert found[block, "down_proj"] == int(counts.tokens[block, -1]) * 192 * 128
            assert found[block, "q_proj"] == int(counts.tokens[block, 0]) * 128 * 128


@BOTH
def test_fewer_tokens_take_fewer_cycles_and_no_merging_or_search(name: str) -> None:
    accelerator = build_accelerator(name)
    results = [simulate_cycles(accelerator, chosen) for chosen in (workload(), workload(0.5), workload(0.2))]
    cycles = [result.total_cycles for result in results]
    assert cycles == sorted(cycles, reverse=True)
    assert len(set(cycles)) == 3
    assert all(result.causes.get("preprocess", 0) == 0 for result in results)


@BOTH
def test_it_is_said_whose_tokens_were_run(name: str) -> None:
    accelerator = build_accelerator(name)
    assert "token counts of method 'visionzip'" in accelerator.study.remarks(accelerator, workload(0.5))[0]
    assert accelerator.study.remarks(accelerator, workload(0.5, method="focus")) == []


@BOTH
def test_single_vectors_are_refused(name: str) -> None:
    whole = workload(0.5)
    counts = whole.counts
    assert counts is not None
    fewer = replace(counts, unique=np.maximum(counts.unique - 1, 0))
    with pytest.raises(UnsupportedError, match="leaves out single vectors"):
        build_accelerator(name).accepts(replace(whole, counts=fewer))


@BOTH
def test_published_formulas_know_their_own_method_only(name: str) -> None:
    with pytest.raises(UnsupportedError, match="use fidelity cycle"):
        build_accelerator(name).layers(workload(0.5))


@BOTH
def test_beside_a_trace_of_focus_their_own_sparsity_counts(name: str) -> None:
    with pytest.raises(UnsupportedError, match="sparsity"):
        build_accelerator(name).accepts(workload(0.5, method="focus"))
