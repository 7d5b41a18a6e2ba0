"""Does the operator list follow the kept tokens, and refuse what cannot be?"""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from focal_common.errors import ConfigError
from focal_simulator.whole_model import PHASES, Operator, operators
from focal_traces.header.schema import GEMMS
from shape_support import at_step, small_shape, work_by_phase


def _find(listed: tuple[Operator, ...], phase: str, layer: int, name: str) -> Operator:
    (one,) = [o for o in listed if (o.phase, o.layer, o.name) == (phase, layer, name)]
    return one


def test_every_phase_is_there_and_in_order() -> None:
    phases = [one.phase for one in operators(small_shape(), generated_tokens=2)]
    assert sorted(phases, key=PHASES.index) == phases
    assert set(phases) == set(PHASES)


def test_each_operator_takes_the_tokens_of_its_own_input() -> None:
    counts = np.array([[8, 7, 6, 5, 4], [4, 4, 4, 3, 3], [3, 3, 3, 0, 0]])
    listed = operators(small_shape(), counts, 5, 2, batch=3)
    expected = {"q_proj": 8, "k_proj": 8, "o_proj": 6, "gate_proj": 5, "up_proj": 5, "down_proj": 4}
    for name, visual in expected.items():
        one = _find(listed, "prefill", 0, name)
        assert (one.m, one.visual_m) == (3 * (5 + visual), 3 * visual)
        assert one.recorded_input in GEMMS
    scores, values = _find(listed, "prefill", 0, "scores"), _find(listed, "prefill", 0, "values")
    assert (scores.m, scores.n, scores.k, scores.count) == (12, 13, 6, 12)
    assert (values.m, values.n, values.k, values.count) == (12, 6, 13, 12)
    cache = _find(listed, "decode", 2, "scores")
    assert (cache.m, cache.n, at_step(cache, 1).n) == (1, 5 + 3 + 1, 5 + 3 + 2)
    # Two key heads of 6 elements, three sequences, 9 keys in the first step and 10 in the second.
    assert cache.kv_elements == 3 * 2 * 6 * (9 + 10)


def test_one_count_per_layer_is_the_same_count_at_every_input() -> None:
    shape = small_shape()
    assert operators(shape, [8, 4, 2]) == operators(shape, np.repeat([[8], [4], [2]], 5, axis=1))
    assert operators(shape) == operators(shape, [8, 8, 8], shape.text_tokens)


def test_the_tower_does_not_care_about_dropped_tokens() -> None:
    full, pruned = (work_by_phase(operators(small_shape(), counts)) for counts in (None, [1, 1, 1]))
    assert full[:2] == pruned[:2]
    assert pruned[2].flops < full[2].flops


def test_work_of_products_is_linear_in_the_batch() -> None:
    one, five = (work_by_phase(operators(small_shape(), batch=batch)) for batch in (1, 5))
    assert [5 * work.flops for work in one] == [work.flops for work in five]
    assert [work.weight_elements for work in one][2:] == [work.weight_elements for work in five][2:]


def test_a_million_tokens_do_not_overflow() -> None:
    tokens = 1 << 20
    shape = small_shape(visual_tokens=tokens, frames=1 << 12)
    listed = operators(shape, np.full((3, 5), tokens, dtype=np.int32), 7, 3)
    scores = _find(listed, "prefill", 0, "scores")
    assert scores.macs == (tokens + 7) ** 2 * 6 * 4
    assert scores.causal_macs == (tokens + 7) * (tokens + 8) // 2 * 6 * 4


def test_without_pictures_there_is_only_text() -> None:
    listed = operators(small_shape(frames=0, visual_tokens=0))
    assert {one.phase for one in listed} == {"prefill", "lm_head"}


@pytest.mark.parametrize(
    ("counts", "text", "steps", "batch", "message"),
    [
        ([8, 8], 5, 0, 1, "expected \\(3,\\) or \\(3, 5\\)"),
        ([9, 8, 8], 5, 0, 1, "expected within \\[0, 8\\]"),
        ([8, 8, -1], 5, 0, 1, "expected within"),
        ([8.0, 8.0, 8.0], 5, 0, 1, "whole numbers"),
        ([8, 8, 0], 0, 0, 1, "neither visual nor text"),
        (None, -1, 0, 1, "text_tokens must be at least 0"),
        (None, 5, -1, 1, "generated_tokens must be at least 0"),
        (None, 5, 0, 0, "batch must be at least 1"),
    ],
)
def test_wrong_counts_are_refused(
    counts: list[int] | None, text: int, steps: int, batch: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        operators(small_shape(), counts, text, steps, batch)


def test_a_shape_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(ValidationError, match="must equal"):
        small_shape(
            projector={"kind": "mlp", "input_elements": 12, "hidden_elements": 16, "output_elements": 8}
        )
    with pytest.raises(ValidationError, match="frames must be above 0"):
        small_shape(frames=0)
