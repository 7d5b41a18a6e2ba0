"""Are POPE and MME scored as their papers and as the published runner do?"""

from __future__ import annotations

import pytest

from focal.studies.sparsezip.metrics import first_word, mme_score, official_pope, pope_score
from focal_common.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "word", "official"),
    [
        ("Yes, it is.", "yes", "yes"),
        ("There is not a dog", None, "no"),
        ("maybe", None, "yes"),
        ("", None, "yes"),
        ("Yes. No wait", "yes", "yes"),
        ("NO", "no", "yes"),  # the official list of words is case-sensitive
        ("I know", None, "yes"),
        ("answer:no", "no", "yes"),
    ],
)
def test_the_two_conventions_read_answers_differently(text: str, word: str | None, official: str) -> None:
    assert first_word(text) == word
    assert official_pope(text) == official


def test_unparsed_answers_count_against_accuracy_only() -> None:
    score = pope_score(["yes", "no", "maybe", "yes"], ["yes", "no", "yes", "no"])
    assert (score["accuracy"], score["parsed_accuracy"], score["unparsed"]) == (0.5, 2 / 3, 1)
    assert (score["precision"], score["recall"]) == (0.5, 1.0)
    assert score["f1"] == pytest.approx(2 / 3)
    assert score["yes_ratio"] == pytest.approx(2 / 3)
    official = pope_score(["yes", "no", "maybe", "yes"], ["yes", "no", "yes", "no"], "official")
    assert (official["accuracy"], official["unparsed"]) == (0.75, 0)


def test_empty_and_one_sided_lists_are_zero_not_errors() -> None:
    empty = pope_score([], [])
    assert (empty["accuracy"], empty["f1"], empty["yes_ratio"]) == (0.0, 0.0, 0.0)
    assert pope_score(["no"], ["yes"])["f1"] == 0.0
    with pytest.raises(ConfigError, match="1 answers to 2 questions"):
        pope_score(["no"], ["yes", "no"])
    with pytest.raises(ConfigError, match="expected yes or no"):
        pope_score(["no"], ["nein"])


def test_a_pair_counts_only_if_both_questions_were_seen_and_right() -> None:
    rows = [
        ("a", "yes", "yes"),
        ("a", "no", "No."),
        ("b", "yes", "yes"),
        ("b", "no", "yes"),
        ("c", "yes", "yes"),
    ]
    images, truths, answers = map(list, zip(*rows, strict=True))
    score = mme_score(images, truths, answers)
    assert (score["accuracy"], score["accuracy_plus"]) == (0.8, pytest.approx(1 / 3))
    assert score["score"] == pytest.approx(80 + 100 / 3)
