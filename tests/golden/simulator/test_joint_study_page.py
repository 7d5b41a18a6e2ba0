"""Does the page of the joint study say what its committed files hold, and are they the study that was asked for?"""

import json
from pathlib import Path

import check_joint_page as page
from focal.studies.joint.results import read_joint_study
from focal.studies.joint.study import write_joint
from simulator_support import PUBLISHED_ROOT

EXAMPLES = PUBLISHED_ROOT.parent
STUDY = EXAMPLES / "joint_study"


def test_the_table_is_that_of_the_committed_files_and_the_page_says_the_same(tmp_path: Path) -> None:
    write_joint(STUDY, STUDY / "dense", tmp_path)
    committed = (STUDY / "joint_study.csv").read_bytes()
    assert (tmp_path / "joint_study.csv").read_bytes() == committed, (
        "run: focal reproduce joint --output example_output/joint_study"
    )
    assert page.written() == page.found(read_joint_study(STUDY, STUDY / "dense")), (
        "run: python tests/check_joint_page.py --write"
    )


def test_the_study_has_the_points_and_the_questions_and_no_machine_path() -> None:
    study = read_joint_study(STUDY, STUDY / "dense")
    assert len(study.feasible) >= 200
    assert study.feasible["questions"].min() >= 400
    assert set(study.feasible["origin"]) == {"measured"}
    record = json.loads((STUDY / "study.json").read_text(encoding="utf-8"))
    arguments = record["study"]["traces"]["options"]["arguments"]
    assert "shapes_video" in arguments
    assert not [word for word in arguments if word.startswith("/")]
    assert sum(path.stat().st_size for path in STUDY.rglob("*") if path.is_file()) < 1_000_000


def test_the_dense_array_answers_what_focus_without_effect_answers() -> None:
    study = read_joint_study(STUDY, STUDY / "dense")
    assert study.array is not None
    for name in ("accuracy", "accuracy_low", "accuracy_high", "questions"):
        assert study.array[name] == study.design("dense")[name]
