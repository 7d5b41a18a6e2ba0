"""Does the page of the joint study say what its committed files hold, and are they the study that was asked for?"""

from focal_evaluation.joint_page import page
from focal_evaluation.joint_results import read_joint_study
from simulator_support import PUBLISHED_ROOT

EXAMPLES = PUBLISHED_ROOT.parent
STUDY = EXAMPLES / "joint_study"
PAGE = EXAMPLES.parent / "docs" / "joint_study.md"


def test_the_page_is_that_of_the_committed_files() -> None:
    study = read_joint_study(STUDY, STUDY / "dense")
    picture = f"../example_output/{STUDY.name}/accuracy_energy_delay.png"
    assert PAGE.read_text(encoding="utf-8") == page(study, picture), (
        "run: focal reproduce joint --output docs/joint_study.md"
    )


def test_the_study_has_the_points_and_the_questions_and_no_machine_path() -> None:
    study = read_joint_study(STUDY, STUDY / "dense")
    assert len(study.feasible) >= 200
    assert study.feasible["questions"].min() >= 400
    assert set(study.feasible["origin"]) == {"measured"}
    assert "shapes_video" in study.arguments
    assert not [word for word in study.arguments if word.startswith("/")]
    assert sum(path.stat().st_size for path in STUDY.rglob("*") if path.is_file()) < 1_000_000


def test_the_dense_array_answers_what_focus_without_effect_answers() -> None:
    study = read_joint_study(STUDY, STUDY / "dense")
    assert study.array is not None
    for name in ("accuracy", "accuracy_low", "accuracy_high", "questions"):
        assert study.array[name] == study.design("dense")[name]
