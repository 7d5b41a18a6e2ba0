"""Is the budget ledger what the simulator's operator list and a walk over single vectors count?"""

from __future__ import annotations

import numpy as np
import pytest

from focal_common.errors import ConfigError, TraceError
from focal_simulator.whole_model import operators
from focal_simulator.whole_model.presets import shape_preset
from focal_traces.counts.trace import Trace
from focal_traces.header.schema import GEMMS, SampleHeader, TokenGrid, TraceHeader
from focal_traces.methods import SELECTION
from focal_traces.model_shape.model_shape import ModelShape
from focal_traces.synthetic.schedule import Schedule
from focal_traces.work.ledger import Ledger, ledger
from shape_support import small_shape, work_by_phase
from synthetic_traces import schedule_trace
from traces_support import TINY, tiny_masks, tiny_trace

PRESETS = [
    "internvl3_8b",
    "llava_1_5_7b",
    "llava_1_6_7b",
    "llava_onevision_7b",
    "llava_video_7b",
    "minicpm_v_2_6",
    "qwen2_5_vl_7b",
    "smolvlm2_2_2b",
]


def pruned(shape: ModelShape, schedule: Schedule, method: str = "focus", **parameters: object) -> Trace:
    """A trace of token pruning alone in a model of the given shape."""
    tokens = shape.visual_tokens
    grid = TokenGrid(
        frames=1, rows=1, columns=tokens, frame_stride=tokens, row_stride=tokens, column_stride=1
    )
    sample = SampleHeader(
        sample_id="a",
        sequence_tokens=tokens + shape.text_tokens,
        visual_start=shape.text_tokens_before,
        visual_tokens=tokens,
        grid=grid,
    )
    header = TraceHeader(
        model="m",
        checkpoint="c",
        dataset="d",
        geometry=shape.decoder,
        method=method,
        parameters=parameters,
        vector_size=32,
        m_tile=1024,
        samples=(sample,),
        model_shape=shape,
    )
    return schedule_trace(header, schedule)


@pytest.mark.parametrize("name", PRESETS)
def test_macs_of_every_phase_are_those_of_the_operator_list(name: str) -> None:
    shape = shape_preset(name)
    trace = pruned(shape, Schedule((3, 9), (0.4, 0.2)))
    found = ledger(trace)
    counts = trace.totals(trace.chosen_sample()).tokens
    phases = {
        one.phase: one.flops // 2 for one in work_by_phase(operators(shape, counts, generated_tokens=1))
    }
    assert found.value("vision_macs") == phases["vision"]
    assert found.value("projector_macs") == phases["projector"]
    assert found.value("prefill_linear_macs") + found.value("prefill_attention_macs") == phases["prefill"]
    assert found.value("lm_head_macs") == phases["lm_head"]
    assert found.value("decode_step_macs") == phases["decode"]


def test_bytes_are_those_of_the_operator_list() -> None:
    shape = small_shape()
    trace = pruned(shape, Schedule((1,), (0.5,)))
    listed = [
        one for one in operators(shape, trace.totals(trace.chosen_sample()).tokens) if one.phase == "prefill"
    ]
    linear = [one for one in listed if one.kind == "gemm"]
    # q, k and v share one input, as gate and up do; the list reads it once for each.
    shared = {"k_proj", "v_proj", "up_proj"}
    moved = sum(one.weight_elements + one.output_elements for one in linear)
    moved += sum(one.input_elements for one in linear if one.name not in shared)
    cached = sum(one.kv_elements for one in listed)
    assert ledger(trace).value("kv_bytes") == 2 * cached
    assert ledger(trace).value("prefill_dram_bytes") == 2 * (moved + cached)
    assert ledger(trace, element_bytes=1).value("prefill_dram_bytes") == moved + cached


def test_equivalent_tokens_count_single_vectors() -> None:
    masks = tiny_masks(samples=1)
    trace = tiny_trace(samples=1)
    width = {"q_proj": 8, "o_proj": 8, "gate_proj": 8, "down_proj": 20}
    columns = {"q_proj": 16, "o_proj": 8, "gate_proj": 40, "down_proj": 8}
    unique_work = dense_work = 0
    for layer in range(TINY.layers):
        for gemm in width:
            one = masks.samples[0].gemm(layer, gemm)
            for is_replaced in (one.is_zero() | one.is_similar()).ravel().tolist():
                # Widths are multiples of the vector size: 4 elements each.
                unique_work += 0 if is_replaced else 4 * columns[gemm]
            dense_work += width[gemm] * columns[gemm]
    found = ledger(trace)
    assert found.value("equivalent_tokens") == pytest.approx(unique_work / dense_work)
    assert found.value("equivalent_tokens") < found.value("present_tokens") < 18


def test_a_short_last_vector_counts_its_own_elements() -> None:
    shape = small_shape()  # MLP of 24: vectors of 32 would overstate it
    found = ledger(pruned(shape, Schedule()))
    assert found.value("equivalent_tokens") == shape.visual_tokens == found.value("present_tokens")


def test_tokens_of_a_schedule_are_its_layer_mean() -> None:
    shape = small_shape(visual_tokens=8)
    trace = pruned(shape, Schedule((0,), (0.5,)))
    # Layer 0 sees 8 tokens before its MLP; 3 layers.
    q = 16 * (24 + 2 * 12) + 24 * 16
    mlp = 3 * 16 * 24
    by_hand = (8 * q + 4 * mlp + 2 * 4 * (q + mlp)) / (3 * (q + mlp))
    assert ledger(trace).value("equivalent_tokens") == pytest.approx(by_hand)


def test_selection_of_focus_is_counted_by_hand() -> None:
    shape = small_shape()
    parameters = {"selected_layers": [1], "alpha_list": [0.5], "block_size": 2, "frame_block_size": 2}
    trace = pruned(shape, Schedule((1,), (0.5,)), **parameters)
    tokens = np.array([[8] * 5, [8, 8, 8, 4, 4], [4] * 5])
    widths = [{"down_proj": 24, "query": 24, "o_proj": 24}.get(gemm, 16) for gemm in GEMMS]
    importance = 3 * (5 + 8) * 24
    matching = sum(int(tokens[:, place].sum()) * width * 4 for place, width in enumerate(widths))
    assert ledger(trace).value("selection_macs") == importance + matching
    alone = pruned(shape, Schedule((1,), (0.5,)), **parameters, sec_only=True)
    assert ledger(alone).value("selection_macs") == importance


def test_a_formula_says_what_it_lacks_and_a_method_without_one_that_it_is_not_counted() -> None:
    for method in SELECTION:
        line = ledger(pruned(small_shape(), Schedule(), method)).as_json()["selection_macs"]
        assert line["origin"] == "estimated"
        assert line["value"] is not None or "does not tell" in line["basis"]
    other = ledger(pruned(small_shape(), Schedule(), "mine")).as_json()["selection_macs"]
    assert (other["value"], other["basis"]) == (None, "not counted: no formula for method 'mine'")


def test_missing_lines_are_refused_in_one_sentence() -> None:
    found: Ledger = ledger(tiny_trace())
    with pytest.raises(ConfigError, match="no vision_macs"):
        found.value("vision_macs")
    with pytest.raises(ConfigError, match="expected one of equivalent_tokens"):
        found.value("token")
    with pytest.raises(ConfigError, match="expected 0 to 1"):
        ledger(tiny_trace(), 2)


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("focus", {"selected_layers": [1e-300]}),
        ("focus", {"selected_layers": [-1]}),
        ("focus", {"selected_layers": [1], "frame_block_size": -2}),
        ("dart", {"image_pivots": None}),
        ("sparsevlm", {"pruning_layers": [99]}),
        ("prumerge", {"neighbours": "8"}),
        ("visionzip", {"dominant": 54.5}),
        ("sparsezip", {"contextual": 4, "alphas": ["x"]}),
        ("sparsezip", {"contextual": 4, "kmeans_init_factor": True}),
        ("zip_parts", {"scorer": "random", "dominant": []}),
    ],
)
def test_parameters_that_no_method_has_are_refused(method: str, parameters: dict[str, object]) -> None:
    """A layer -1 was taken for the last one, and the others ended in tracebacks."""
    trace = pruned(shape_preset("llava_1_5_7b"), Schedule((3,), (0.5,)), method, **parameters)
    with pytest.raises(TraceError, match=r"header of m/d: field 'parameters\.\w+' is .*, expected"):
        ledger(trace)


def test_a_method_that_acts_in_the_last_layer_has_a_ledger() -> None:
    trace = pruned(shape_preset("llava_1_5_7b"), Schedule((3,), (0.5,)), "sparsevlm", pruning_layers=[31])
    assert ledger(trace).value("selection_macs") is not None
