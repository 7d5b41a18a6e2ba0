"""Does the page of the joint study call a point better only where its answers say so?"""

from __future__ import annotations

import json
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from focal_common.errors import ConfigError
from focal_evaluation.joint_comparisons import compared_front
from focal_evaluation.joint_page import write_page
from focal_evaluation.joint_results import read_joint_study
from focal_evaluation.metrics.paired import holm, paired

QUESTIONS = 200
PICTURES = [f"clip-{place // 5}" for place in range(QUESTIONS)]


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (6, 0), (3, 9), (14, 15)])
def test_mcnemar_is_the_sum_of_binomial_terms(only_first: int, only_second: int) -> None:
    first = [True] * 20 + [True] * only_first + [False] * only_second
    second = [True] * 20 + [False] * only_first + [True] * only_second
    found = paired(first, second, [str(place) for place in range(len(first))])
    changed = only_first + only_second
    tail = sum(comb(changed, count) for count in range(min(only_first, only_second) + 1)) / 2**changed
    assert (found.only_first, found.only_second) == (only_first, only_second)
    assert found.p_value == pytest.approx(min(1.0, 2 * tail))
    assert found.difference == pytest.approx(100 * (only_first - only_second) / len(first))
    assert found.low <= found.difference <= found.high


def test_the_interval_resamples_whole_pictures() -> None:
    generator = np.random.default_rng(5)
    shift = generator.integers(0, 2, QUESTIONS // 5)
    first = np.repeat(shift, 5).astype(bool).tolist()
    none = [False] * QUESTIONS
    by_picture = paired(first, none, PICTURES)
    as_if_apart = paired(first, none, [str(place) for place in range(QUESTIONS)])
    ratio = (by_picture.high - by_picture.low) / (as_if_apart.high - as_if_apart.low)
    # All five questions of a clip move together: the variance of the mean is five times as large.
    assert ratio == pytest.approx(5**0.5, rel=0.15)


def test_answers_to_other_questions_are_refused() -> None:
    with pytest.raises(ConfigError, match="the same questions"):
        paired([True], [True, False], ["a"])
    with pytest.raises(ConfigError, match="the same questions"):
        paired([], [], [])


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_equals_its_definition(values: list[float]) -> None:
    found = holm(values)
    order = sorted(range(len(values)), key=lambda place: values[place])
    worst = 0.0
    for rank, place in enumerate(order):
        worst = max(worst, min(1.0, (len(values) - rank) * values[place]))
        assert found[place] == pytest.approx(worst)


def right(share: float, luck: int = 0) -> list[bool]:
    """Answers to questions of fixed difficulty, so that those of two methods are paired."""
    difficulty = np.random.default_rng(3).random(QUESTIONS)
    noise = np.random.default_rng(luck).normal(0, 0.01, QUESTIONS)
    return [bool(one) for one in difficulty + noise < share]


METHODS = {
    "published": (0.7, 1.0),
    "dense": (0.9, 20.0),
    "later": (0.88, 4.0),
    "even": (0.71, 0.8),
    "poor": (0.6, 3.0),
}


def write_study(folder: Path, methods: dict[str, tuple[float, float]] = METHODS) -> Path:
    folder.mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    answers = []
    for number, (method, (share, edp)) in enumerate(methods.items()):
        said = right(share, number)
        accuracy = 100 * sum(said) / QUESTIONS
        for scatter in (1, 2):
            rows.append(
                {
                    "index": len(rows),
                    "status": "ok",
                    "method": method,
                    "weights": "single",
                    "core.scatter_vectors": scatter,
                    "tiles.n_tile": 96,
                    "method.similarity_threshold": number / 10,
                    "accuracy": accuracy,
                    "accuracy_low": accuracy - 5,
                    "accuracy_high": accuracy + 5,
                    "questions": float(QUESTIONS),
                    "kept_tokens": 50.0,
                    "edp_mj_s": edp * (1 + 0.1 * (scatter == 1)),
                    "area_mm2": 3.0,
                }
            )
        answers += [
            {"method.similarity_threshold": number / 10, "picture": picture, "kind": "k", "right": one}
            for picture, one in zip(PICTURES, said, strict=True)
        ]
    pd.DataFrame(rows).to_parquet(folder / "results.parquet")
    pd.DataFrame(answers).to_parquet(folder / "answers.parquet")
    record = {"study": {"traces": {"options": {"arguments": ["--questions", str(QUESTIONS)]}}}}
    (folder / "study.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def test_a_point_is_better_only_where_interval_and_test_say_so(tmp_path: Path) -> None:
    study = read_joint_study(write_study(tmp_path / "study"), None)
    front = dict(zip(study.front["method"], compared_front(study), strict=True))
    # Dense is the most accurate, even the cheapest; published and poor are beaten in both.
    assert set(front) == {"dense", "later", "even"}
    assert front["later"]["published"].verdict == "better"
    assert front["later"]["dense"].verdict == "not told apart"
    assert front["even"]["published"].verdict == "not told apart"
    assert front["even"]["dense"].verdict == "worse"
    assert "dense" not in front["dense"]


def test_the_page_says_what_the_table_says_and_is_the_same_twice(tmp_path: Path) -> None:
    folder, output = write_study(tmp_path / "study"), tmp_path / "docs" / "page.md"
    page, picture = write_page(folder, None, output)
    text = " ".join(page.read_text(encoding="utf-8").split())
    assert "10 designs, 10 of them simulated (5 sets of method parameters)" in text
    assert (
        "Against the published Focus parameters, 2 of them are more accurate, 0 less, 1 not told apart."
        in text
    )
    assert f"![Accuracy against energy-delay](../study/{picture.name})" in text
    assert str(tmp_path) not in text
    before = page.read_bytes(), picture.read_bytes()
    write_page(folder, None, output)
    assert (page.read_bytes(), picture.read_bytes()) == before


def test_without_answers_nothing_is_called_better(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "study")
    (folder / "answers.parquet").unlink()
    page, _ = write_page(folder, None, tmp_path / "page.md")
    text = page.read_text(encoding="utf-8")
    assert "answers not kept" in text
    assert "better" not in text.partition("## How far")[0]


def test_bad_folders_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a readable table"):
        read_joint_study(tmp_path, None)
    folder = write_study(tmp_path / "a")
    (folder / "study.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigError, match="not the record of a measured study"):
        read_joint_study(folder, None)
    other = write_study(tmp_path / "b", {"dense": (0.9, 20.0)})
    with pytest.raises(ConfigError, match="does not hold the finished method 'published'"):
        write_page(other, None, tmp_path / "page.md")
    rows = pd.read_parquet(other / "results.parquet").drop(columns="edp_mj_s")
    rows.to_parquet(other / "results.parquet")
    with pytest.raises(ConfigError, match="has no column 'edp_mj_s'"):
        read_joint_study(other, None)


@pytest.mark.parametrize(
    ("commit", "marks"), [("1c983d6b61a36d9471be7f7b3ef130ddf32a1daf", 1), ("f" * 40, 0)]
)
def test_a_page_of_weights_that_no_longer_ship_is_marked_at_its_top(
    tmp_path: Path, commit: str, marks: int
) -> None:
    folder = write_study(tmp_path / "study")
    rows = pd.read_parquet(folder / "results.parquet")
    rows.assign(code_version=commit).to_parquet(folder / "results.parquet")
    page, _ = write_page(folder, None, tmp_path / "page.md")
    top = page.read_text(encoding="utf-8").partition("## ")[0]
    assert top.count("**Measured on earlier weights.**") == marks
    assert top.startswith("# ")
