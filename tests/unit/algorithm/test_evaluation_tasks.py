"""Do our tasks give lmms-eval's own table what it expects: fractions, their standard errors, whole pairs of MME?"""

from __future__ import annotations

from math import sqrt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("lmms_eval", reason="lmms-eval is not installed; run 'sh scripts/setup_lmms_eval.sh'")

from lmms_eval.api.registry import get_aggregation
from lmms_eval.evaluator_utils import TaskOutput

from focal_algorithm.evaluation.lmms import local_tasks, shapes_task
from focal_algorithm.evaluation.lmms.engine import TaskOutcome
from focal_algorithm.evaluation.lmms.evaluation import accuracy_rows
from focal_algorithm.evaluation.lmms.scoring import scored
from focal_algorithm.tasks.store import load_split

RIGHT = ("yes", "no", "yes", "yes", "no", "yes")
SAID = ("yes", "no", "no", "yes", "yes", "perhaps")


def document(number: int, questions: int) -> dict[str, Any]:
    """Return a question of an image with so many."""
    return {"sample_id": f"t-{number // questions}", "kind": "presence", "answer": RIGHT[number % len(RIGHT)]} | {
        "choices": ["yes", "no"]
    }  # fmt: skip


def aggregated(score: Any, aggregations: dict[str, Any], count: int, questions: int = 6) -> dict[str, Any]:
    """Return lmms-eval's aggregates and standard errors."""
    found = TaskOutput(
        task=SimpleNamespace(aggregation=lambda: aggregations), task_config={}, task_name="shapes"
    )
    for number in range(count):
        for name, value in score(document(number, questions), [SAID[number % len(SAID)]]).items():
            found.sample_metrics[name, "none"].append(value)
    found.calculate_aggregate_metric(bootstrap_iters=0)
    found.calculate_clt_aggregate_metric()
    return {name.replace(",none", ""): value for name, value in found.agg_metrics.items()}


def test_lmms_evals_table_holds_fractions_with_their_own_standard_error() -> None:
    mean = get_aggregation("mean")
    known = {"accuracy": mean, "unparsable": mean, "pope_f1": shapes_task.pope_f1, "pope_yes": mean}
    found = aggregated(shapes_task.parsed_pope, known, 6)
    assert found["accuracy"] == pytest.approx(3 / 6)
    assert found["accuracy_stderr_clt"] == pytest.approx(sqrt(0.25 / 5))
    assert found["unparsable"] == pytest.approx(1 / 6)
    assert found["pope_f1"] == pytest.approx(2 * 2 / (4 + 3))
    assert found["pope_f1_stderr_clt"] == "N/A"  # not that of accuracy
    assert found["pope_yes"] == pytest.approx(3 / 6)


def test_no_task_file_aggregates_to_percent() -> None:
    for path in local_tasks().values():
        text = path.read_text(encoding="utf-8")
        assert "percent" not in text
        assert "aggregation: mean" in text


@pytest.mark.parametrize(("count", "scored_questions"), [(1, 0), (2, 2), (5, 4)])
def test_a_score_of_mme_counts_whole_pairs_only(count: int, scored_questions: int) -> None:
    known = {"mme_score": shapes_task.mme_score, "mme_score_plus": shapes_task.mme_score_plus}
    found = aggregated(shapes_task.parsed_mme, known, count, questions=2)
    answers = tuple(
        scored(
            "shapes-mme",
            {"doc_id": number, "doc": document(number, 2), "target": RIGHT[number]}
            | {"arguments": ["?"], "filtered_resps": [SAID[number]]}
            | shapes_task.parsed_mme(document(number, 2), [SAID[number]]),
        )
        for number in range(count)
    )  # fmt: skip
    metrics = {name: value for name, value in found.items() if isinstance(value, float)}
    rows = accuracy_rows(
        {"checkpoint": "random:0"}, "shapes-mme", TaskOutcome(answers, {"shapes-mme": metrics}, {})
    )
    assert (rows[0]["unit"], rows[0]["n"]) == ("percent", count)
    assert [row["n"] for row in rows[1:]] == ([scored_questions] if scored_questions else [])
    if not scored_questions:
        assert found["mme_score"] == "N/A"


def test_variants_of_a_task_tell_that_they_show_the_same_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOCAL_CACHE", str(tmp_path))

    def pixels(variant: str) -> list[str]:
        options = {"seed": 0, "samples": 2, "variant": variant}
        loaded = load_split("shapes-pope", split="test", **options)
        return [one["pixels_sha256"] for one in shapes_task._documents(loaded, options)]

    found = pixels("adversarial")
    assert found == pixels("random")
    assert len(set(found)) == 2
