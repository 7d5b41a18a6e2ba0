"""Answers on disk: taken up again, refused where they belong to something else, never silently lost."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from evaluation_support import answered
from focal.commands import compare as cli_compare
from focal.commands.running import run_command
from focal_algorithm.evaluation.lmms.answering import AnswerLog
from focal_algorithm.evaluation.lmms.run_files import (
    ACCURACY_COLUMNS,
    SAMPLES,
    compare_runs,
    read_samples,
    upsert_rows,
    write_samples,
)
from focal_algorithm.evaluation.lmms.scoring import ScoredAnswer, scored
from focal_common.errors import ConfigError, RunError
from focal_common.reading.json_files import SEAL, sealed


def test_a_torn_last_line_is_dropped_and_written_again(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    log = AnswerLog(path, {"model": 1})
    log.put("a", "yes", 0.5)
    log.put("b", "no", 0.25)
    log.close()
    path.write_text(path.read_text()[:-7], encoding="utf-8")
    again = AnswerLog(path, {"model": 1})
    assert (again.resumed, again.get("a"), again.get("b"), again.seconds("a")) == (1, "yes", None, 0.5)
    again.put("b", "no", 0.25)
    again.close()
    assert AnswerLog(path, {"model": 1}).resumed == 2


def test_answers_of_another_configuration_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    AnswerLog(path, {"method": "dense"}).close()
    with pytest.raises(ConfigError, match="another model or method"):
        AnswerLog(path, {"method": "focus"})


@pytest.mark.parametrize("text", ["not json\n", "{}\n", '{"format": "focal answers 1"}\n[1]\n'])
def test_a_damaged_log_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="remove it to answer all questions again"):
        AnswerLog(path, {})


def test_a_byte_that_is_no_letter_is_damage_of_a_whole_line_and_a_torn_one_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    log = AnswerLog(path, {})
    log.put("a", "yes", 0.5)
    log.close()
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"key": "\xff')
    assert AnswerLog(path, {}).resumed == 1
    path.write_bytes(whole + b'{"key": "\xff"}\n')
    with pytest.raises(ConfigError, match="remove it to answer all questions again"):
        AnswerLog(path, {})


def test_samples_round_trip(tmp_path: Path) -> None:
    answers = [answered("t", 0, 1.0), answered("t", 1, 0.0)]
    write_samples(tmp_path, answers)
    assert list(read_samples(tmp_path).values()) == answers


@pytest.mark.parametrize("line", ["{", "[]", '{"task": "t"}'])
def test_damaged_samples_name_their_line(tmp_path: Path, line: str) -> None:
    write_samples(tmp_path, [answered("t", 0, 1.0)])
    with (tmp_path / SAMPLES).open("a", encoding="utf-8") as target:
        target.write(line + "\n")
    with pytest.raises(ConfigError, match="line 2"):
        read_samples(tmp_path)


@pytest.mark.parametrize("score", ["abc", None, True, 2.0, -0.5])
def test_a_score_that_is_no_share_names_its_line(score: object, tmp_path: Path) -> None:
    write_samples(tmp_path, [answered("t", 0, 1.0)])
    found = json.loads((tmp_path / SAMPLES).read_text())
    (tmp_path / SAMPLES).write_text(json.dumps(found | {"score": score}) + "\n")
    with pytest.raises(ConfigError, match="line 1: damaged"):
        read_samples(tmp_path)
    found.pop(SEAL)
    (tmp_path / SAMPLES).write_text(json.dumps(sealed(found | {"score": score})) + "\n")
    with pytest.raises(ConfigError, match=r"line 1: not an answer of 'focal eval' \(field 'score' is"):
        read_samples(tmp_path)


def test_a_score_that_is_no_share_is_not_written(tmp_path: Path) -> None:
    logged = {
        "doc": {"question": "?"},
        "doc_id": 0,
        "target": "a",
        "filtered_resps": ["a"],
        "arguments": ["?"],
    }
    assert scored("t", logged | {"accuracy": 1}).score == 1
    with pytest.raises(RunError, match="score of 45"):
        scored("t", logged | {"accuracy": 45.0})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"m\xff\n", "cannot be read as UTF-8 text"),
        (b",\n", "row 1: .* cells, expected 14 cells"),
        (b"," * len(ACCURACY_COLUMNS) + b"\n", "row 1: .* cells, expected 14 cells"),
    ],
)
def test_a_damaged_table_is_refused_and_left_as_it_is(text: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "accuracy.csv"
    content = ",".join(ACCURACY_COLUMNS).encode() + b"\n" + text
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        upsert_rows(path, ACCURACY_COLUMNS, [row(model="m")])
    assert path.read_bytes() == content


def test_a_folder_without_samples_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected the folder of a run"):
        read_samples(tmp_path)


def row(**values: object) -> dict[str, object]:
    return dict.fromkeys(ACCURACY_COLUMNS, "") | values


def test_rows_of_one_configuration_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "accuracy.csv"
    upsert_rows(path, ACCURACY_COLUMNS, [row(model="m", config_sha256="1", accuracy=50.0)])
    upsert_rows(path, ACCURACY_COLUMNS, [row(model="m", config_sha256="2", accuracy=60.126)])
    upsert_rows(path, ACCURACY_COLUMNS, [row(model="m", config_sha256="1", accuracy=70.0)])
    with path.open(encoding="utf-8") as source:
        assert [found["accuracy"] for found in csv.DictReader(source)] == ["70.00", "60.13"]
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="columns are"):
        upsert_rows(path, ACCURACY_COLUMNS, [])


def test_the_first_columns_are_those_of_the_published_table() -> None:
    published = Path(__file__).parents[3] / "example_output" / "published" / "accuracy.csv"
    header = published.read_text(encoding="utf-8").splitlines()[0].split(",")
    assert list(ACCURACY_COLUMNS[: len(header)]) == header


def test_comparison_pairs_questions_and_counts_the_rest(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    write_samples(first, [answered("t", n, float(n < 6)) for n in range(8)] + [answered("u", 0, 1.0)])
    write_samples(second, [answered("t", n, float(n < 2)) for n in range(7)] + [answered("u", 0, 0.0)])
    records = {record["dataset"]: record for record in compare_runs(first, second)}
    assert set(records) == {"t", "u", "all"}
    # Question 7 is only in the first run; 0 to 5 are right in it, 0 and 1 in the second.
    assert (records["t"]["only_first"], records["t"]["only_second"]) == (4, 0)
    assert (records["t"]["questions"], records["t"]["unpaired"]) == (7, 1)
    assert records["all"]["only_first"] == 5


def test_other_questions_cannot_be_compared(tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in "abc")
    write_samples(first, [answered("t", 0, 1.0)])
    write_samples(second, [answered("t", 0, 1.0, digest="other")])
    write_samples(third, [answered("u", 0, 1.0)])
    with pytest.raises(ConfigError, match="asked different questions"):
        compare_runs(first, second)
    with pytest.raises(ConfigError, match="no question in common"):
        compare_runs(first, third)
    assert json.dumps(compare_runs(first, first))


def variants(outcome: dict[str, list[bool]], images: int = 5) -> list[ScoredAnswer]:
    """Return two questions on each image for every task; the first one is the same in all tasks."""
    return [
        answered(
            task,
            2 * image + one,
            float(right[2 * image + one]),
            picture=f"{task}-{image}",
            pixels=f"pixels of {image}",
            text="is there a dot?" if one == 0 else f"is there what {task} asks for?",
            digest=f"{task} {image} {one}",
        )
        for task, right in outcome.items()
        for image in range(images)
        for one in (0, 1)
    ]


def test_tasks_that_share_pictures_make_nothing_more_certain(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    right = [True] * 9 + [False]
    wrong = [False, False, True, False, True, True, True, False, True, False]
    names = ("shapes-pope", "shapes-pope-random", "shapes-pope-popular")
    write_samples(first, variants(dict.fromkeys(names, right)))
    write_samples(second, variants(dict.fromkeys(names, wrong)))
    records = {record["dataset"]: record for record in compare_runs(first, second)}
    alone, together = records["shapes-pope"], records["all"]
    assert (alone["questions"], alone["repeated"], alone["pictures"]) == (10, 0, 5)
    # Five questions are the same in all three tasks; five are asked by each.
    assert (together["questions"], together["repeated"], together["pictures"]) == (20, 10, 5)
    assert together["high"] - together["low"] > 0.8 * (alone["high"] - alone["low"])


def test_the_same_question_with_other_answers_is_kept(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    write_samples(first, variants({"shapes-pope": [True] * 10, "shapes-mme": [False] * 10}))
    write_samples(second, variants({"shapes-pope": [False] * 10, "shapes-mme": [False] * 10}))
    record = compare_runs(first, second)[-1]
    assert (record["dataset"], record["questions"], record["repeated"]) == ("all", 20, 0)


def test_where_no_picture_differs_there_is_no_interval(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    write_samples(first, variants({"shapes-pope": [True] * 10}))
    write_samples(second, variants({"shapes-pope": [False] * 10}))
    (record,) = compare_runs(first, second)
    assert (record["difference"], record["low"], record["high"]) == (1.0, None, None)
    assert run_command(cli_compare.app, [str(first), str(second)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "no interval: the difference is the same on every picture" in said
    assert "McNemar's p takes questions for independent" in said
    assert "+100.00% to" not in said
    write_samples(second, variants({"shapes-pope": [True] * 8 + [False] * 2}))
    assert run_command(cli_compare.app, [str(first), str(second)]) == 0
    assert "5 pictures are few for a bootstrap" in " ".join(capsys.readouterr().out.split())
