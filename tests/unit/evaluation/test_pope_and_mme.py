"""Are POPE and MME scored as their papers and as the published runner do?"""

from __future__ import annotations

import pytest

from focal_common.errors import ConfigError
from focal_evaluation.metrics.latency import percentile, spread
from focal_evaluation.metrics.mme import COGNITION, PERCEPTION, MmeAnswer, MmeScore, mme_score, mme_total
from focal_evaluation.metrics.pope import mean_f1, pope_score
from focal_evaluation.metrics.yes_no import first_word, official_pope


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
    assert (score.accuracy, score.parsed_accuracy, score.unparsed) == (0.5, 2 / 3, 1)
    assert (score.precision, score.recall) == (0.5, 1.0)
    assert score.f1 == pytest.approx(2 / 3)
    assert score.yes_ratio == pytest.approx(2 / 3)
    official = pope_score(["yes", "no", "maybe", "yes"], ["yes", "no", "yes", "no"], "official")
    assert (official.accuracy, official.unparsed) == (0.75, 0)
    assert mean_f1([score, official]) == pytest.approx((2 / 3 + 0.8) / 2)


def test_empty_and_one_sided_lists_are_zero_not_errors() -> None:
    empty = pope_score([], [])
    assert (empty.accuracy, empty.f1, empty.yes_ratio, mean_f1([])) == (0.0, 0.0, 0.0, 0.0)
    assert pope_score(["no"], ["yes"]).f1 == 0.0
    with pytest.raises(ConfigError, match="1 answers to 2 questions"):
        pope_score(["no"], ["yes", "no"])
    with pytest.raises(ConfigError, match="expected yes or no"):
        pope_score(["no"], ["nein"])  # type: ignore[list-item]


def test_a_pair_counts_only_if_both_questions_were_seen_and_right() -> None:
    rows = [
        ("a", "yes", "yes"),
        ("a", "no", "No."),
        ("b", "yes", "yes"),
        ("b", "no", "yes"),
        ("c", "yes", "yes"),
    ]
    score = mme_score(MmeAnswer(image, truth, text) for image, truth, text in rows)  # type: ignore[arg-type]
    assert (score.accuracy, score.accuracy_plus) == (0.8, pytest.approx(1 / 3))
    assert score.score == pytest.approx(80 + 100 / 3)


def test_official_sums_have_their_published_maxima_and_need_every_subtask() -> None:
    perfect = MmeScore(questions=4, correct=4, images=2, correct_images=2)
    whole = mme_total(dict.fromkeys(PERCEPTION + COGNITION, perfect))
    assert (whole.perception, whole.cognition, whole.total, whole.missing) == (2000, 800, 2800, ())
    part = mme_total({name: perfect for name in PERCEPTION if name != "OCR"})
    assert (part.perception, part.total) == (None, None)
    assert part.missing == ("OCR", *COGNITION)
    with pytest.raises(ConfigError, match="did you mean 'posters'"):
        mme_total({"poster": perfect})


def test_macro_and_micro_means_differ_with_subtask_sizes() -> None:
    small, large = MmeScore(2, 2, 1, 1), MmeScore(8, 4, 4, 1)
    total = mme_total({"count": small, "scene": large})
    assert (total.macro_accuracy, total.micro_accuracy, total.macro_accuracy_plus) == (0.75, 0.6, 0.625)


def test_percentiles_interpolate() -> None:
    assert [percentile(values, p) for values, p in (([1, 2, 3, 4], 50), ([5, 1, 9], 95), ([], 50))] == [
        2.5,
        8.6,
        0.0,
    ]
    assert spread([]).mean == 0.0
