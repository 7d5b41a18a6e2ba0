"""Are wrong hyper-parameters refused in one sentence, and published ones found?"""

from __future__ import annotations

from typing import Any

import pytest

from focal_algorithm.methods.build import build_method
from focal_algorithm.methods.focus import Focus
from focal_common.errors import ConfigError


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"similarity_threshold": 0.0}, r"similarity_threshold must be in \(0, 1\], got 0.0"),
        ({"similarity_threshold": 1.01}, r"similarity_threshold must be in \(0, 1\]"),
        ({"similarity_threshold": "high"}, "'similarity_threshold' must be a number such as 0.9, got 'high'"),
        ({"alpha_list": [0.5]}, "selected_layers has 5 entries but alpha_list 1; expected equal lengths"),
        ({"similarity_treshold": 0.9}, "did you mean 'similarity_threshold'"),
        ({"block_size": 0}, "block_size must be at least 1, got 0"),
        ({"vector_size": 0}, "vector_size must be at least 1"),
        ({"mode": "exact"}, "mode must be compatible or strict"),
    ],
)
def test_wrong_parameters_are_one_sentence(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_method("focus", parameters)


def test_an_unknown_method_lists_near_matches() -> None:
    with pytest.raises(ConfigError, match="did you mean 'focus'"):
        build_method("fokus", {})


def test_published_schedules_differ_by_model_and_dataset() -> None:
    assert Focus.study.published("llava_onevision", "mvbench")["alpha_list"] == (0.4, 0.3, 0.25, 0.2, 0.1)
    assert Focus.study.published("minicpm_v", "mlvu")["similarity_threshold"] == 0.95
    assert Focus.study.published("llava_onevision", "photographs") == {}


def test_no_m_tile_is_spelled_in_two_ways() -> None:
    assert build_method("focus", {"m_tile": -1}) == build_method("focus", {"m_tile": 0})
