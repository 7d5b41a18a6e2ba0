"""Does ``focal doctor --model`` refuse exactly the pairs that refuse?"""

from __future__ import annotations

import pytest

import focal
from contracts.conformance import REFUSALS
from focal.support import model_checks
from focal_algorithm.methods import METHODS


@pytest.mark.parametrize("family", ["llava", "minicpm_v", "qwen3_vl"])
def test_doctor_says_what_the_conformance_kit_allows(family: str) -> None:
    found = {check.subject: check.found for check in model_checks(family, True, False)}
    for method in METHODS:
        kinds = {subject for name, subject in REFUSALS if name == method and subject.startswith(f"{family}+")}
        said = found[f"method {method}"]
        assert bool(kinds) == (said.startswith("no: ") or "but not a" in said), (method, said)


@pytest.mark.parametrize(
    ("method", "parameters"),
    [("dycoke", {}), ("fastvid", {}), ("fastvid", {"retain_ratio": 0.5}), ("holitom", {}), ("evs", {})],
)
@pytest.mark.parametrize("family", ["llava_onevision", "qwen2_5_vl"])
def test_a_method_for_videos_is_not_refused_because_the_clip_that_tries_it_is_short(
    family: str, method: str, parameters: dict[str, float]
) -> None:
    assert focal.supports(family, focal.method(method, **parameters))
