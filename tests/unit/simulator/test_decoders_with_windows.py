"""Does a trace say that its decoder has windows, and is it refused where attention is timed as causal?"""

from __future__ import annotations

from typing import Any

import pytest

from focal_common.errors import TraceError, UnsupportedError
from focal_simulator.results.runner import Settings, run_all
from focal_simulator.workload.loading import with_trace
from focal_simulator.workload.workload import Workload
from focal_traces.header.text import header_to_text, text_to_header
from traces_support import TINY, tiny_trace


def windowed(windows: tuple[int | None, ...]) -> Any:
    trace = tiny_trace()
    geometry = TINY.model_copy(update={"windows_tokens": windows})
    return type(trace)(trace.header.model_copy(update={"geometry": geometry}), trace.samples)


def windows_of(layers: int) -> tuple[int | None, ...]:
    return (*[24] * (layers - 1), None)


def test_a_header_without_windows_keeps_its_bytes_and_one_with_them_comes_back() -> None:
    plain = tiny_trace().header
    assert "windows_tokens" not in header_to_text(plain)
    header = windowed(windows_of(TINY.layers)).header
    text = header_to_text(header)
    assert text_to_header(text, "a.parquet") == header
    with pytest.raises(TraceError, match="windows_tokens has 1 entries, expected"):
        text_to_header(header_to_text(windowed((24,)).header), "a.parquet")


@pytest.mark.parametrize("fidelity", ["cycle", "parity"])
@pytest.mark.parametrize("accelerator", ["dense", "focus"])
def test_it_is_not_timed_with_causal_attention(accelerator: str, fidelity: str) -> None:
    workload = with_trace(Workload("tiny", "made", 18, 2, 9), windowed(windows_of(TINY.layers)), "focus_main")
    sentence = r"tiny/made is of a decoder with windows \(header field 'windows_tokens', the shortest of 24\)"
    with pytest.raises(UnsupportedError, match=sentence):
        run_all(Settings(accelerators=(accelerator,), fidelity=fidelity), [workload])
