"""Are model_args, answers and pictures read as they should be?"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from focal.commands import eval as cli_eval
from focal.commands.running import run_command
from focal_algorithm.evaluation.lmms import TASK_FOLDER, local_tasks
from focal_algorithm.evaluation.lmms.answering import generation_limits
from focal_algorithm.evaluation.lmms.hub_tasks import HUB_TASKS, dataset_of, require_pairs
from focal_algorithm.evaluation.lmms.model import media_of
from focal_algorithm.evaluation.lmms.options import ModelOptions, Sweep, options_from_arguments
from focal_algorithm.evaluation.lmms.request import Request
from focal_algorithm.evaluation.lmms.scoring import scored
from focal_algorithm.matrix.rows import chosen_rows
from focal_algorithm.matrix.schema import read_matrix
from focal_algorithm.methods.build import build_method
from focal_algorithm.tasks.asking import is_parsable, parse_choice
from focal_common.errors import ConfigError, FocalError, RunError, UnsupportedError


def test_arguments_of_lmms_eval_become_options() -> None:
    given = {
        "pretrained": "llava",
        "method": "focus",
        "method.selected_layers": "2;4",
        "method.vector_size": 16,
    }
    found = options_from_arguments(given | {"batch_size": "1", "device": None})
    assert (found.model, found.method) == ("llava", "focus")
    assert found.parameters == {"selected_layers": [2, 4], "vector_size": 16}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"methods": "focus"}, "unknown field 'methods'; did you mean 'method'"),
        ({"batch_size": 0}, "expected a whole number of questions from 1, or auto"),
        ({"batch_size": 4, "precision": "int8"}, "depend on its neighbours"),
        ({"model": "a", "pretrained": "b"}, "mean the same"),
        ({"attention": "flex"}, "attention"),
        ({"model": "shapes_image", "seed": "x"}, "shapes_image|seed"),
    ],
)
def test_wrong_arguments_are_one_sentence(given: dict[str, Any], message: str) -> None:
    with pytest.raises(FocalError, match=message):
        options_from_arguments(given)


def test_identity_follows_weights_and_method_but_not_files(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    options = ModelOptions(model=str(tmp_path))
    before = options.identity()
    assert options.model_copy(update={"answers": tmp_path / "a"}).identity() == before
    assert options.model_copy(update={"method": "focus"}).identity() != before
    (tmp_path / "config.json").write_text("{ }", encoding="utf-8")
    assert options.identity() != before


@pytest.mark.parametrize(
    ("answer", "choice"),
    [("yes", "yes"), (" Yes.", "yes"), ("no yes", "no"), ("", None), ("maybe", None), ("yesterday", None)],
)
def test_first_word_is_the_answer(answer: str, choice: str | None) -> None:
    assert parse_choice(answer, ("yes", "no")) == choice


@pytest.mark.parametrize(
    ("answer", "form", "parsable"),
    [
        ("(B)", "letter", True),
        ("B. a dog", "letter", True),
        ("a dog", "letter", False),
        ("Bob", "letter", False),
        ("No, there is none", "yes/no", True),
        ("unclear", "yes/no", False),
        (" ", "free", False),
        ("two", "free", True),
    ],
)
def test_form_of_answers(answer: str, form: str, parsable: bool) -> None:
    assert is_parsable(answer, form) == parsable


def test_pictures_of_a_task_become_one_input() -> None:
    picture = Image.new("RGBA", (4, 4))
    one = media_of([picture], name="t-0", frames=4, is_sequence=False)
    assert (one.is_video, one.frames[0].mode) == (False, "RGB")
    assert media_of([picture] * 3, name="t-0", frames=4, is_sequence=True).is_video
    for wrong in ([], None, [picture, picture], [{"array": 1}]):
        with pytest.raises(UnsupportedError, match="t-0"):
            media_of(wrong, name="t-0", frames=4, is_sequence=False)


def test_paths_of_a_task_are_read_by_their_ending(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "a.PNG", format="PNG")
    assert not media_of([str(tmp_path / "a.PNG")], name="t-0", frames=4, is_sequence=False).is_video
    with pytest.raises(ConfigError, match=r"b\.mp4: no such file"):
        media_of([str(tmp_path / "b.mp4")], name="t-0", frames=4, is_sequence=False)


def test_only_greedy_decoding_is_repeatable() -> None:
    assert generation_limits({"max_new_tokens": 3, "temperature": 0, "until": ["\n\n", "USER:"]}) == (
        3,
        ("USER:",),
    )
    for settings in ({"do_sample": True}, {"temperature": 0.7}, {"num_beams": 3}):
        with pytest.raises(UnsupportedError, match="greedy"):
            generation_limits(settings)


def test_published_names_cover_their_sub_tasks() -> None:
    assert dataset_of("mvbench_moving_count") == "mvbench"
    assert dataset_of("mmbench_en_dev") == "mmbench"
    assert dataset_of("shapes-pope-random") == "shapes-pope-random"
    assert {"shapes-video", "shapes-pope", "shapes-mme"} <= local_tasks().keys()
    assert all(f"task: {name}\n" in path.read_text() for name, path in local_tasks().items())
    assert TASK_FOLDER.is_dir()


def logged(**metrics: Any) -> dict[str, Any]:
    asked = {"doc_id": 3, "doc": {"videoID": "v"}, "target": "B", "arguments": ["which?", {}, 3]}
    return asked | {"filtered_resps": ["B."], **metrics}


@pytest.mark.parametrize(
    ("task", "metrics", "score"),
    [
        ("videomme", {"videomme_perception_score": {"score": 1.0, "pred_answer": "B", "answer": "B"}}, 1.0),
        ("mlvu_dev", {"mlvu_percetion_score": {"pred_answer": "C", "answer": "B"}}, 0.0),
        ("vqav2_val", {"exact_match": 0.3}, 0.3),
        ("mmbench_en_dev", {"gpt_eval_score": {"prediction": "B."}, "submission": {}}, 1.0),
    ],
)
def test_scores_of_published_tasks_are_read(task: str, metrics: dict[str, Any], score: float) -> None:
    found = scored(task, logged(**metrics))
    assert (found.score, found.picture, found.question, found.text) == (score, "v", 3, "which?")


def test_a_task_without_scores_is_refused() -> None:
    with pytest.raises(RunError, match="no score per question"):
        scored("chat", logged(bleu=(1, 2)))


def test_fields_of_a_sweep_may_vary_together() -> None:
    found = Sweep.read("frame_block_size+block_size=1x2, 3x1")
    assert found.points == (
        ("1x2", {"frame_block_size": 1, "block_size": 2}),
        ("3x1", {"frame_block_size": 3, "block_size": 1}),
    )
    assert Sweep.read("similarity_threshold=0.9").points == (("0.9", {"similarity_threshold": 0.9}),)
    for wrong in ("vector_size", "vector_size=", "=3", "a+b=1", "a+=1x2"):
        with pytest.raises(ConfigError, match="sweep "):
            Sweep.read(wrong)


def test_points_of_a_sweep_are_spelt_as_the_published_ones() -> None:
    place = Path(__file__).parents[3] / "example_output" / "published" / "design_space_accuracy.csv"
    with place.open(encoding="utf-8", newline="") as source:
        published = {(row["swept"], row["value"], row["dataset"]) for row in csv.DictReader(source)}
    ours = set()
    for row in chosen_rows(read_matrix("paper"), "dse_accuracy"):
        assert row.variant is not None
        varied = row.variant.parameters
        method = build_method("focus", varied)
        (field,) = varied if len(varied) == 1 else (None,)
        axis = method.study.published_axis(method, varied) or (field, str(varied.get(field)))
        ours.add((*axis, row.dataset_name))
    assert ours == published
    # A block of which one side varies is spelt with the other side in force.
    focus = build_method("focus", {"block_size": 3})
    assert focus.study.published_axis(focus, ["block_size"]) == ("block_size", "2x3x3")
    assert focus.study.published_axis(focus, ["similarity_threshold"]) is None


def test_the_published_matrix_names_the_data_that_lmms_eval_reads() -> None:
    datasets = read_matrix("paper").datasets
    assert {name: one.hub for name, one in datasets.items()} == {
        name: HUB_TASKS[name].data for name in datasets
    }
    tasks = Path(pytest.importorskip("lmms_eval").__file__).parent / "tasks"
    for one in datasets.values():
        files = [
            path
            for path in (tasks / one.task).iterdir()
            if path.suffix == ".yaml" or path.name.endswith("_yaml")
        ]
        text = "".join(path.read_text(encoding="utf-8") for path in files)
        assert f"dataset_path: {one.hub}\n" in text
        assert re.search(rf"test_split: [\"']?{one.split}\b", text)
        if one.revision != "main":
            assert f"revision: {one.revision}\n" in text


@pytest.mark.parametrize(
    ("method", "sweep", "is_refused"),
    [
        ("dense", "vector_size=16,32", True),
        ("visionzip", "m_tile=128,256", True),
        ("focus_sec_only", "frame_block_size+block_size=1x1,2x2", True),
        ("focus", "vector_size=16,32", False),
    ],
)
def test_a_sweep_of_equal_points_is_refused(
    method: str, sweep: str, is_refused: bool, tmp_path: Path
) -> None:
    def read() -> Request:
        arguments = {"model": "llava", "method": method}
        return Request.read(arguments, tasks=("t",), output=tmp_path, sweep=Sweep.read(sweep))

    if is_refused:
        with pytest.raises(ConfigError, match="changes no answer of method"):
            read()
    else:
        assert read().sweep is not None


@pytest.mark.parametrize("words", [(), ("--sweep", "vector_size=16,32", "--method", "focus")])
def test_without_lmms_eval_the_command_says_how_to_get_it(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("focal_algorithm.evaluation.lmms.find_spec", lambda name: None)
    assert run_command(cli_eval.app, list(words)) == 2
    assert "sh scripts/setup_lmms_eval.sh" in capsys.readouterr().err


def test_unknown_names_are_refused_by_the_model(tmp_path: Path) -> None:
    from focal_algorithm.evaluation.lmms.answering import Answerer

    with pytest.raises(ConfigError, match="unknown method"):
        Answerer(ModelOptions(method="focuss"))


@pytest.mark.parametrize("limit", [7, 0.5])
def test_a_limit_that_cuts_a_pair_of_published_mme_is_refused_at_once(limit: float) -> None:
    with pytest.raises(ConfigError, match="expected an even number"):
        require_pairs(["pope", "mme"], limit)
    for names, most in ((["pope", "shapes-mme"], limit), (["mme"], None), (["mme"], 8)):
        require_pairs(names, most)
