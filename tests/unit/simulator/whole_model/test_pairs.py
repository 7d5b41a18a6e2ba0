"""Does a trace run only where the hardware can leave out what the trace leaves out?"""

from __future__ import annotations

import numpy as np
import pytest

from focal_common.errors import ConfigError, TraceError, UnsupportedError
from focal_simulator.accelerators import ACCELERATORS
from focal_simulator.gpu.pairs import check_pair, pair_of, reduction_of, token_counts_per_layer
from focal_traces.synthetic.schedule import Schedule, schedule_trace, tokens_per_gemm
from traces_support import tiny_trace

FULL = tiny_trace()
TOKENS = schedule_trace(FULL.header, Schedule((0, 2), (0.7, 0.4)))
NOTHING = schedule_trace(FULL.header, Schedule())


def test_what_a_trace_leaves_out_is_read_from_its_counts() -> None:
    assert [reduction_of(trace) for trace in (FULL, TOKENS, NOTHING)] == ["vectors", "tokens", "none"]


def test_token_counts_are_those_of_the_schedule() -> None:
    expected = tokens_per_gemm(Schedule((0, 2), (0.7, 0.4)), 3, 18)
    assert np.array_equal(token_counts_per_layer(TOKENS), expected)


@pytest.mark.parametrize("accelerator", sorted(ACCELERATORS))
def test_whole_tokens_run_anywhere(accelerator: str) -> None:
    assert check_pair(TOKENS, accelerator).refusal is None
    assert check_pair(NOTHING, accelerator).refusal is None
    assert check_pair(FULL, accelerator, as_tokens=True).reduction == "tokens"


@pytest.mark.parametrize("accelerator", ["dense", "adaptiv", "cmc", "focus_sec_only"])
def test_single_vectors_need_a_unit_that_skips_them(accelerator: str) -> None:
    with pytest.raises(UnsupportedError, match=f"accelerator '{accelerator}' has no unit that skips single"):
        check_pair(FULL, accelerator)


def test_focus_skips_single_vectors() -> None:
    assert pair_of(FULL, "focus").refusal is None


def test_wrong_names_are_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'focus'"):
        check_pair(FULL, "focux")
    with pytest.raises(TraceError, match="sample 2 does not exist, expected 0 to 1"):
        token_counts_per_layer(FULL, 2)
