"""Does one word set the budget of every method, and is a budget that cannot be refused in a sentence?"""

from __future__ import annotations

from typing import Any

import pytest

import attach_support as support
from focal_algorithm.hooks.cache import held_tokens
from focal_algorithm.methods.budgeted import read_budget, with_budget
from focal_algorithm.methods.build import build_method
from focal_algorithm.methods.fastv import FastV
from focal_algorithm.prompts.layout import SampleLayout, joined_layout
from focal_algorithm.transformers_versions import cache_of
from focal_common.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "budget", "expected"),
    [
        ("fastv", "64", {"keep_tokens": 64}),
        ("fastv", "22.2%", {"prune_ratio": 0.778}),
        ("divprune", "128", {"keep_tokens": 128}),
        ("divprune", "11.1%", {"retain_ratio": 0.111}),
        # Published settings of VisionZip (CVPR 2025, sec. 4): dominant and contextual.
        ("visionzip", "192", {"dominant": 162, "contextual": 30}),
        ("visionzip", "128", {"dominant": 108, "contextual": 20}),
        ("visionzip", "22.2%", {"dominant": 108, "contextual": 20, "scale_by_tokens": True}),
        ("sparsevlm", "96", {"retained_tokens": 96}),
    ],
)
def test_a_number_or_a_share_sets_the_fields_of_the_method(
    name: str, budget: str, expected: dict[str, Any]
) -> None:
    built = build_method(name, read_budget(budget))
    for field, value in expected.items():
        assert getattr(built, field) == pytest.approx(value)


@pytest.mark.parametrize("text", ["0", "-3", "0%", "120%", "nan%", "6.5", "many", "%"])
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=f"budget {text}: .*(expected|must)"):
        read_budget(text)


def test_no_budget_says_nothing() -> None:
    assert read_budget("") == {}
    assert with_budget("nobody", {"mode": "strict"}) == {"mode": "strict"}


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"tokens": 3, "share": 0.5}, "tokens and share were both given"),
        ({"tokens": 3, "keep_tokens": 4}, "keep_tokens was given beside it"),
        ({"tokens": True}, "must be a whole number from 1, got True"),
        ({"share": "x"}, "must lie in"),
    ],
)
def test_budgets_that_contradict_are_refused(parameters: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        with_budget("fastv", parameters)


def test_the_prompt_has_the_last_word() -> None:
    prompt = support.prompt()
    visual = prompt.layout.visual_tokens
    text = prompt.layout.sequence_tokens - visual
    for name in ("fastv", "divprune"):
        _, output = support.record(build_method(name, {"tokens": 5, "mode": "strict"}), prompt.inputs)
        assert held_tokens(cache_of(output), 3) == text + 5
        with pytest.raises(
            ConfigError, match=f"{visual + 1} tokens are to stay, but the prompt has {visual}"
        ):
            support.record(build_method(name, {"tokens": visual + 1}), prompt.inputs)


def test_pictures_share_a_budget_in_proportion() -> None:
    pictures = joined_layout(
        [SampleLayout("two", 100, 2, 30, None), SampleLayout("two", 100, 40, 10, None)]
    ).parts
    for tokens in range(4, 41):
        shares = [picture.share_of(tokens) for picture in pictures]
        assert sum(shares) == tokens
        assert abs(shares[0] - tokens * 30 / 40) < 1
    with pytest.raises(ConfigError, match="leave none to a picture of 30; expected at least 2"):
        FastV(keep_tokens=1).start(support.tiny().geometry, pictures[0])
