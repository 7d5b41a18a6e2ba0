"""Is every method lawful in every family? The contract that outside plug-ins inherit, once for each of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import attach_support as support
from contracts.conformance import REFUSALS, method_of, model_of, prompt_of
from focal.testing import MethodContract
from focal.testing.methods import is_first, present_tokens, run
from focal_algorithm.methods import METHODS


class _Ours(MethodContract):
    long = pytest.mark.slow

    def runs_by_default(self, test: str, case: Mapping[str, Any]) -> bool:
        """Record whole runs of every family once, with Focus."""
        is_traced = test == "test_the_same_seed_gives_the_same_bytes" and self.method == "focus"
        return is_first(case["subject"]) if is_traced else super().runs_by_default(test, case)


for name in METHODS:
    title = f"Test_{name}"
    refusals = {subject: reason for (method, subject), reason in REFUSALS.items() if method == name}
    own = {"method": name, "parameters": support.SMALL.get(name, {}), "refusals": refusals}
    globals()[title] = type(title, (_Ours,), own)


@pytest.mark.parametrize("name", ["visionzip", "sparsezip", "zip_parts"])
def test_text_between_frames_stays_where_pictures_are_compressed(name: str) -> None:
    subject = "qwen3_vl+video"
    loaded = model_of(subject)
    prompt = prompt_of(subject, loaded)
    (sample,), _, _ = run(loaded, method_of(name, loaded), [prompt])
    ids = prompt.inputs["input_ids"][0].tolist()
    start, stop = prompt.layout.visual_start, prompt.layout.visual_stop
    marks = {place for place in range(start, stop) if ids[place] != loaded.model.config.video_token_id}
    assert marks
    assert marks <= set(present_tokens(sample)[3, "layer_input"])
