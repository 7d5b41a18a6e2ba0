"""Does a recorded trace know the whole model, so that its operators can be listed without torch?"""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from focal_algorithm.tracing.runner import run
from focal_algorithm.tracing.settings import RunSettings
from focal_simulator.whole_model import PHASES, operators
from focal_traces.files.store import open_trace


def test_a_recorded_trace_lists_its_operators(tmp_path: Path) -> None:
    settings = RunSettings(output=tmp_path, size="tiny", samples=1, frames=2, new_tokens=0, threads=1)
    trace = open_trace(run(settings).files["counts"])
    shape = trace.header.model_shape
    assert shape is not None
    (sample,) = trace.header.samples
    assert (shape.frames, shape.visual_tokens) == (2, sample.visual_tokens)
    assert shape.text_tokens == sample.sequence_tokens - sample.visual_tokens
    assert shape.decoder == trace.header.geometry
    listed = operators(shape, trace.totals(trace.chosen_sample()).tokens, generated_tokens=1)
    assert {one.phase for one in listed} == set(PHASES)
    dense = operators(shape, generated_tokens=1)
    assert sum(one.flops for one in listed) < sum(one.flops for one in dense)
