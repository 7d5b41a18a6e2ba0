"""Does a workload refuse contradictions, and follow the published token schedule?"""

from dataclasses import replace

import pytest

from focal_common.errors import TraceError, UnsupportedError
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.workload.workload import Workload, totals_from_schedule
from focal_traces.header.schema import GEMMS, QWEN2_7B, DecoderGeometry
from focal_traces.methods.cmc import CmcSparsity
from focal_traces.synthetic.schedule import Schedule
from simulator_support import small_workload


def test_the_schedule_drops_tokens_between_attention_and_mlp_of_the_selected_block() -> None:
    schedule = Schedule(layers=(3, 6, 9, 18, 26), alphas=(0.4, 0.3, 0.2, 0.15, 0.1))
    tokens = totals_from_schedule(QWEN2_7B, 11648, schedule).tokens
    before, after = tokens[:, GEMMS.index("q_proj")], tokens[:, GEMMS.index("down_proj")]
    assert before[[0, 3, 4, 27]].tolist() == [11648, 11648, 4659, 1164]
    assert after[[2, 3, 6, 9, 18, 26]].tolist() == [11648, 4659, 3494, 2329, 1747, 1164]


def test_fewer_tokens_than_frames_times_patches_are_refused() -> None:
    with pytest.raises(TraceError, match="7 tokens are fewer than 2 frames x 4 patches"):
        Workload("a", "b", 7, 2, 4)


def test_counts_of_another_decoder_or_length_are_refused() -> None:
    workload = small_workload()
    other = DecoderGeometry(
        layers=4, hidden_elements=64, intermediate_elements=128, heads=2, kv_heads=1, head_dim_elements=32
    )
    with pytest.raises(TraceError, match="from its decoder geometry"):
        replace(workload, geometry=other)
    with pytest.raises(TraceError, match="the trace holds 600 visual tokens, the workload table 800"):
        replace(workload, visual_tokens=800)


def test_accelerators_say_what_a_workload_lacks() -> None:
    bare = Workload("a", "b", 12, 3, 4)
    for name, reason in [
        ("focus", "no Focus trace for variant 'focus_main'"),
        ("focus_sec_only", "neither a trace nor a token schedule"),
        ("adaptiv", "adaptiv_sparsity.csv"),
        ("cmc", "cmc_sparsity.csv"),
    ]:
        with pytest.raises(UnsupportedError, match=reason):
            build_accelerator(name).accepts(bare)
    image = replace(bare, visual_tokens=13, tables={"cmc_sparsity.csv": CmcSparsity(0.1, 0.1, 0.1)})
    with pytest.raises(UnsupportedError, match="13 tokens, expected exactly 3 frames x 4 patches"):
        build_accelerator("cmc").accepts(image)


def test_a_trace_says_more_of_tokens_than_the_schedule_beside_it() -> None:
    pruned = small_workload()
    traced = replace(pruned, counts=None).with_schedule_counts(Schedule())
    sec_only = build_accelerator("focus_sec_only")
    assert (sec_only.live_tokens(traced) == 600).all()
    scheduled = sec_only.live_tokens(replace(pruned, counts=None))
    assert pruned.counts is not None
    assert (scheduled == pruned.counts.tokens).all()
